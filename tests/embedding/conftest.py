from collections.abc import Callable

import numpy as np
import pytest
import torch

from lesiongraph.embedding import NARROW, Trunk
from lesiongraph.imaging import Patch
from lesiongraph.lesion import BoundingBox


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_trunk() -> Trunk:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        trunk = Trunk(NARROW).eval()
    with torch.no_grad():  # biases, so that padding which leaks shows itself
        for name, value in trunk.named_parameters():
            if name.endswith("bias"):
                value.uniform_(0, 20, generator=torch.Generator().manual_seed(1))
    return trunk


@pytest.fixture(scope="session")
def make_patch() -> Callable[..., Patch]:
    def make(height: int, width: int, box: BoundingBox | None = None, seed: int = 0) -> Patch:
        rng = np.random.default_rng([seed, height, width])
        hu = rng.integers(-1024, 1500, (3, height, width)).astype(np.int16)
        return Patch(hu, box or BoundingBox(width * 0.3, height * 0.3, width * 0.6, height * 0.7))

    return make
