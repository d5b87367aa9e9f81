"""How `benchmarks/embedding_objectives.py` looks at lesions, and whom its mining chooses."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "benchmarks")]

from lesiongraph.cues import PseudoLabels, SequenceSampler  # noqa: E402
from lesiongraph.imaging import Patch  # noqa: E402
from lesiongraph.lesion import BoundingBox  # noqa: E402
from objectives.mining import Miner  # noqa: E402
from objectives.trial import _surest  # noqa: E402
from objectives.views import PLAIN, SLICES, View  # noqa: E402

MARGINS = (0.1, 0.2, 0.4)


@pytest.fixture
def patch() -> Patch:
    hu = np.random.default_rng(0).integers(-1000, 1000, (SLICES, 30, 40)).astype(np.int16)
    return Patch(hu, BoundingBox(10, 5, 20, 9))


def test_the_plain_view_is_the_papers_patch(patch: Patch) -> None:
    seen = PLAIN.of(patch)
    assert np.array_equal(seen.hu, patch.hu[3:6])
    assert seen.box == patch.box


def test_a_mirrored_lesion_stays_in_its_box(patch: Patch) -> None:
    seen = View(mirrored=True).of(patch)
    assert seen.box == BoundingBox(19, 5, 29, 9)
    assert np.array_equal(seen.hu[:, 5:10, 19:30], patch.hu[3:6, 5:10, 10:21][:, :, ::-1])


def test_boxes_move_and_grow_by_their_own_size(patch: Patch) -> None:
    assert View(shift=(0.1, -0.25)).of(patch).box == BoundingBox(11, 4, 21, 8)
    assert View(grow=1.5).of(patch).box == BoundingBox(7.5, 4, 22.5, 10)


def test_slices_and_levels(patch: Patch) -> None:
    assert np.array_equal(View(offset=-3).of(patch).hu, patch.hu[:3])
    assert np.array_equal(View(stride=2).of(patch).hu, patch.hu[[2, 4, 6]])
    assert np.array_equal(View(added_hu=30).of(patch).hu, patch.hu[3:6] + 30)
    with pytest.raises(ValueError, match="not among"):
        View(offset=3, stride=2).of(patch)


def _sampler(rng: np.random.Generator, count: int = 400) -> tuple[SequenceSampler, np.ndarray]:
    places, sizes = rng.random((count, 3)) * [0.1, 0.1, 1.0], rng.random((count, 2)) * 0.3
    return SequenceSampler(rng.choice(["bone", "lung"], count), places, sizes, 0.02, 0.1, relax=True), places


@pytest.mark.parametrize("how", ["semi-hard", "trimmed"])
def test_what_is_mined_keeps_to_the_letters_and_leaves_the_extremes(how: str) -> None:
    rng = np.random.default_rng(0)
    sampler, places = _sampler(rng)
    vectors = rng.normal(size=(400, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    drawn = sampler.sample(60, rng)
    mined = Miner(sampler, places, MARGINS, how).redraw(drawn, vectors, rng)
    changed = 0
    for before, after in zip(drawn, mined, strict=True):
        squared = np.square(vectors - vectors[after[0]]).sum(1)
        for place, letter in enumerate("BCDE", start=1):
            if after[place] == before[place]:
                continue
            changed += 1
            rows = sampler.candidates(int(after[0]), letter)
            assert after[place] in rows
            if letter == "B":
                continue
            limit = squared[after[place - 1]] + MARGINS[place - 2]
            assert squared[after[place]] < limit
            if how == "semi-hard":
                assert squared[after[place]] > squared[after[place - 1]]
            elif letter == "E":  # D's candidates depend on B and C too
                assert (squared[rows] < squared[after[place]]).sum() >= 0.1 * (squared[rows] < limit).sum()
    assert changed > 60


def test_the_unsure_of_each_type_are_left_out() -> None:
    types = np.array(["bone"] * 6 + ["lung"] * 3)
    given = PseudoLabels(types, np.array([0.9, 0.2, 0.8, 0.3, 0.7, 0.6, 0.1, 0.3, 0.2]))
    assert list(_surest(given, 2 / 3)) == ["bone", "", "bone", "", "bone", "bone", "", "lung", "lung"]
    assert np.array_equal(_surest(given, 1.0), types)
