"""What the frozen trunk sees in a slice does not depend on the fold: read each volume once, for all folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from lesiongraph.bodypart import TrainingVolume, training
from lesiongraph.bodypart.sources import Features


@contextmanager
def shared_features(folder: Path) -> Iterator[None]:
    """Let `train_ssbr` keep a volume's features in a folder, and find them there.

    A file is named by what it depends on: trunk, slices, frames, boxes and number of views. Its random views
    are the same in every training; a volume left out of a fold is not read there.
    """
    folder.mkdir(parents=True, exist_ok=True)

    class SharedFeatures(Features):
        def _read(self, volume: TrainingVolume, views: int, rng: np.random.Generator) -> None:
            key = self._key(volume, views)
            path = folder / f"{key}.npz"
            if path.exists():
                with np.load(path) as kept:
                    self._plain.append(torch.from_numpy(kept["plain"]))
                    self._views.append(torch.from_numpy(kept["views"]))
                return
            # views of its own random state: the training's own must not depend on what was kept
            super()._read(volume, views, np.random.default_rng(int(key, 16)))
            partial = path.with_suffix(".part.npz")
            np.savez(partial, plain=self._plain[-1].numpy(), views=self._views[-1].numpy())
            partial.rename(path)

        def _key(self, volume: TrainingVolume, views: int) -> str:
            digest = hashlib.sha256(str(views).encode())
            for value in self._network.trunk.state_dict().values():
                digest.update(value.numpy().tobytes())
            for array in (volume.slices, volume.frames, volume.boxes):
                if array is not None:
                    digest.update(np.ascontiguousarray(array).tobytes())
            return digest.hexdigest()[:24]

    with mock.patch.object(training, "Features", SharedFeatures):
        yield
