import numpy as np
import pytest

from lesiongraph.cues import SequenceSampler
from lesiongraph.errors import NotEnoughDataError, UsageError


def archive(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    types = rng.choice(["lung", "liver", "bone"], n)
    return types, rng.random((n, 3)), rng.random((n, 2))


def test_equal_generators_give_equal_sequences() -> None:
    sampler = SequenceSampler(*archive(500), 0.15, 0.3)
    first = sampler.sample(50, np.random.default_rng(7))
    assert (first == sampler.sample(50, np.random.default_rng(7))).all()
    assert (first != sampler.sample(50, np.random.default_rng(8))).any()


def test_no_anchor_says_what_is_missing_and_what_to_do() -> None:
    with pytest.raises(NotEnoughDataError, match=r"without_b 40.*Raise t_low.*sample with relax"):
        SequenceSampler(*archive(40), 1e-6, 0.3)


def test_one_type_only() -> None:
    types, locations, sizes = archive(300)
    with pytest.raises(NotEnoughDataError, match="without_e 300"):
        SequenceSampler(np.full(300, "lung"), locations, sizes, 0.2, 0.3)
    assert SequenceSampler(types, locations, sizes, 0.2, 0.3).counts["without_e"] == 0


def test_untyped_and_unlocated_lesions_are_counted_and_never_drawn() -> None:
    types, locations, sizes = archive(400)
    types[:5], locations[5:9, 2] = "", np.nan
    sampler = SequenceSampler(types, locations, sizes, 0.15, 0.3)
    assert sampler.counts["left_out"] == 9
    assert sampler.sample(500, np.random.default_rng(0)).min() >= 9


def test_relax_is_counted_by_letter() -> None:
    types, locations, sizes = archive(40)
    sampler = SequenceSampler(types, locations, sizes, 1e-6, 0.3, relax=True)
    assert sampler.counts["relaxed_b"] == sampler.counts["anchors"] == 40
    assert sampler.counts["relaxed_d"] == 0


def test_many_lesions_at_one_place() -> None:
    """A degenerate archive must neither loop nor fill the memory."""
    n = 2000
    types = np.where(np.arange(n) % 2, "lung", "liver")
    with pytest.raises(NotEnoughDataError, match=f"without_d {n}"):
        SequenceSampler(types, np.ones((n, 3)), np.ones((n, 2)), 0.02, 0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"cues": ("colour",)}, "colour"), ({"cues": ()}, "cues"), ({"t_low": 0.5}, "t_low")],
)
def test_wrong_use(change: dict, message: str) -> None:
    types, locations, sizes = archive(30)
    settings = {"t_low": 0.1, "t_high": 0.3} | change
    with pytest.raises(UsageError, match=message):
        SequenceSampler(types, locations, sizes, **settings)


def test_lengths_must_agree() -> None:
    types, locations, sizes = archive(30)
    with pytest.raises(ValueError, match=r"sizes: expected an array of shape \(30, D\)"):
        SequenceSampler(types, locations, sizes[:-1], 0.1, 0.3)


def test_no_lesion_at_all() -> None:
    with pytest.raises(NotEnoughDataError, match="lesions 0"):
        SequenceSampler([], np.empty((0, 3)), np.empty((0, 2)), 0.1, 0.3, relax=True)
