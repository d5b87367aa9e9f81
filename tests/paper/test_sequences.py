"""Sec. 4.2: every sequence A–E against its definition, and the counts against a slow loop."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.cues import CUES, SequenceSampler
from lesiongraph.errors import NotEnoughDataError

ALL_CUES = [c for n in (1, 2, 3) for c in itertools.combinations(CUES, n)]
LETTER_OF_CUE = {"type": "E", "location": "D", "size": "C"}


def is_candidate(letter, a, j, types, locations, sizes, t_low, t_high, cues) -> bool:
    """The sentence of Sec. 4.2 that defines `letter`, in plain Python."""
    if j == a:
        return False
    same_type = types[a] == types[j] if "type" in cues else True
    location = math.dist(locations[a], locations[j])
    size = math.dist(sizes[a], sizes[j])
    near = location < t_low if "location" in cues else True
    if letter == "B":
        return same_type and near and (size < t_low if "size" in cues else True)
    if letter == "C":
        return same_type and near and size > t_high
    if letter == "D":
        return same_type and location > t_high
    return types[a] != types[j]


def slow_candidates(types, locations, sizes, t_low, t_high, cues) -> dict[str, list[set[int]]]:
    n = len(types)
    letters = ["B", *(LETTER_OF_CUE[cue] for cue in reversed(CUES) if cue in cues)]
    args = (types, locations, sizes, t_low, t_high, cues)
    return {x: [{j for j in range(n) if is_candidate(x, a, j, *args)} for a in range(n)] for x in letters}


@st.composite
def lesions(draw):
    n = draw(st.integers(2, 30))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    # On a grid, so that distances equal to a threshold occur.
    locations = rng.integers(0, 5, (n, 3)) / 8
    sizes = rng.integers(0, 5, (n, 2)) / 8
    types = rng.choice(["lung", "liver", "bone"], n)
    t_low = draw(st.sampled_from([0.125, 0.2, 0.3]))
    return types, locations, sizes, t_low, draw(st.sampled_from([t_low, 0.375, 0.5]))


@settings(max_examples=150, deadline=None)
@given(lesions(), st.sampled_from(ALL_CUES), st.integers(0, 1000))
def test_every_sequence_satisfies_the_definitions(data, cues, seed) -> None:
    types, locations, sizes, t_low, t_high = data
    wanted = slow_candidates(types, locations, sizes, t_low, t_high, cues)
    anchors = [a for a in range(len(types)) if all(sets[a] for sets in wanted.values())]
    if not anchors:
        with pytest.raises(NotEnoughDataError, match="Raise t_low"):
            SequenceSampler(types, locations, sizes, t_low, t_high, cues=cues)
        return
    sampler = SequenceSampler(types, locations, sizes, t_low, t_high, cues=cues)
    assert sampler.anchors.tolist() == anchors
    for letter, sets in wanted.items():
        assert sampler.counts[f"without_{letter.lower()}"] == sum(not found for found in sets)
        assert [set(sampler.candidates(a, letter).tolist()) for a in range(len(types))] == sets
    for sequence in sampler.sample(20, np.random.default_rng(seed)):
        a = sequence[0]
        assert a in anchors
        for letter, row in zip("BCDE", sequence[1:], strict=True):
            assert row in wanted[letter][a] if letter in wanted else row == -1


def test_all_candidates_are_drawn_about_equally() -> None:
    """A shortcut in drawing must not prefer any candidate."""
    types = np.array(["lung"] * 9 + ["liver"] * 4)
    locations = np.zeros((13, 3))
    locations[5:9, 0] = [0.3, 0.5, 0.7, 0.9]  # D of the lesions at 0
    sizes = np.zeros((13, 2))
    sizes[3:5, 0] = 0.5  # C of lesions 0–2
    sampler = SequenceSampler(types, locations, sizes, 0.02, 0.1)
    drawn = sampler.sample(12_000, np.random.default_rng(0))
    for column, count in ((0, 5), (3, 4), (4, 4)):
        shares = np.unique(drawn[:, column], return_counts=True)[1] / len(drawn)
        assert len(shares) == count
        assert shares == pytest.approx(1 / count, abs=0.02)


@settings(max_examples=60, deadline=None)
@given(lesions(), st.integers(0, 1000))
def test_relaxed_sequences_keep_the_order_of_similarity(data, seed) -> None:
    types, locations, sizes, t_low, t_high = data
    names, sizes_of_type = np.unique(types, return_counts=True)
    if len(names) < 2 or sizes_of_type.max() < 4:
        return
    sampler = SequenceSampler(types, locations, sizes, t_low, t_high, relax=True)
    assert sampler.counts["anchors"] == sizes_of_type[sizes_of_type >= 4].sum()
    for a, b, c, d, e in sampler.sample(20, np.random.default_rng(seed)):
        assert len({a, b, c, d}) == 4
        assert types[a] == types[b] == types[c] == types[d] != types[e]
        assert math.dist(sizes[a], sizes[b]) <= math.dist(sizes[a], sizes[c])
        far = math.dist(locations[a], locations[d])
        assert far >= math.dist(locations[a], locations[b])
        assert far >= math.dist(locations[a], locations[c])


def test_without_a_strict_d_the_farthest_is_left_to_be_d() -> None:
    """The only lesion like the anchor in size is the farthest of its type, though within t_low."""
    types = np.array(["liver"] * 4 + ["lung"] * 2)
    locations = np.zeros((6, 3))
    locations[1:4, 0] = [0.125, 0.125, 0.175]
    sizes = np.array([[0.5, 0], [0.25, 0], [0.5, 0.375], [0.5, 0], [0, 0], [0, 0]])
    sampler = SequenceSampler(types, locations, sizes, 0.2, 0.2, relax=True)
    for sequence in sampler.sample(40, np.random.default_rng(0)):
        if sequence[0] == 0:
            assert sequence[1:4].tolist() == [1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(lesions(), st.integers(0, 1000))
def test_relaxing_changes_nothing_for_anchors_that_have_candidates(data, seed) -> None:
    types, locations, sizes, t_low, t_high = data
    wanted = slow_candidates(types, locations, sizes, t_low, t_high, CUES)
    strict = {a for a in range(len(types)) if all(sets[a] for sets in wanted.values())}
    names, sizes_of_type = np.unique(types, return_counts=True)
    if len(names) < 2 or sizes_of_type.max() < 4:
        return
    sampler = SequenceSampler(types, locations, sizes, t_low, t_high, relax=True)
    assert strict <= set(sampler.anchors.tolist())
    for a, *rest in sampler.sample(30, np.random.default_rng(seed)):
        if a in strict:
            assert all(row in wanted[x][a] for x, row in zip("BCDE", rest, strict=True))
