"""Eq. 3 against a slow loop written from the formula, countable cases, and its gradient."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.embedding import sequence_loss
from lesiongraph.embedding.loss import drop_unused_letters
from lesiongraph.recipe import EmbeddingRecipe


def slow_loss(sequences, margins):
    total = 0.0
    for a, b, c, d, e in sequences:

        def squared(p, q):
            return sum((x - y) ** 2 for x, y in zip(p, q, strict=True))

        m1, m2, m3 = margins
        total += max(0, squared(a, b) - squared(a, c) + m1)
        total += max(0, squared(a, c) - squared(a, d) + m2)
        total += max(0, squared(a, d) - squared(a, e) + m3)
    return total / (2 * len(sequences))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 9), st.tuples(*[st.floats(0, 1)] * 3))
def test_equals_the_formula(seed, count, width, margins):
    sequences = np.random.default_rng(seed).normal(0, 0.5, (count, 5, width))
    found = sequence_loss(torch.from_numpy(sequences), margins)
    assert float(found) == pytest.approx(slow_loss(sequences, margins), abs=1e-9)


def test_a_countable_case():
    """A at 0; B, C, D, E at 1, 2, 3, 3 on a line: squared distances 1, 4, 9, 9; margins 1/10, 2/10, 4/10."""
    line = torch.tensor(
        [[0.0, 1.0, 2.0, 3.0, 3.0], [0.0, 2.0, 2.0, 3.0, 9.0]], dtype=torch.float64
    ).unsqueeze(2)
    # first: only A–D against A–E is violated, by 4/10; second: only A–B against A–C, by 1/10
    expected = (Fraction(4, 10) + Fraction(1, 10)) / (2 * 2)
    assert float(sequence_loss(line, (0.1, 0.2, 0.4))) == pytest.approx(float(expected))


def test_lesions_that_all_coincide_pay_half_the_margins():
    margins = EmbeddingRecipe().margins
    assert margins == (0.1, 0.2, 0.4)
    assert float(sequence_loss(torch.ones(24, 5, 8), margins)) == pytest.approx(0.35)


def test_a_well_ordered_sequence_costs_nothing():
    ordered = torch.tensor([0.0, 0.1, 0.6, 1.0, 1.5]).view(1, 5, 1)
    assert float(sequence_loss(ordered, (0.1, 0.2, 0.4))) == 0


def test_the_gradient_is_right():
    rng = torch.Generator().manual_seed(0)
    sequences = torch.randn(3, 5, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: sequence_loss(s, (0.1, 0.2, 0.4)), (sequences,))


@pytest.mark.parametrize(
    ("shape", "margins"), [((3, 4, 2), (1, 2, 3)), ((5, 2), (1, 2, 3)), ((3, 5, 2), (1, 2))]
)
def test_other_shapes_are_refused(shape, margins):
    with pytest.raises(ValueError, match=r"\(S, L, D\)"):
        sequence_loss(torch.zeros(shape), margins)


@pytest.mark.parametrize(
    ("letters", "pairs"),
    [
        ("ABE", [("B", "E", 2)]),
        ("ABD", [("B", "D", 1)]),
        ("ABC", [("B", "C", 0)]),
        ("ABDE", [("B", "D", 1), ("D", "E", 2)]),
        ("ABCE", [("B", "C", 0), ("C", "E", 2)]),
        ("ABCDE", [("B", "C", 0), ("C", "D", 1), ("D", "E", 2)]),
    ],
)
def test_fewer_letters_keep_the_margin_of_their_cue(letters, pairs):
    """ADR 10: a letter that is not used leaves the chain with its margin, and its neighbours meet."""
    margins, rng = (0.1, 0.2, 0.4), np.random.default_rng(len(letters))
    vectors = rng.normal(0, 0.3, (7, 5, 4))
    sequences = np.arange(35).reshape(7, 5)
    sequences[:, [letter not in letters for letter in "ABCDE"]] = -1
    kept, own = drop_unused_letters(sequences, margins)
    assert own == tuple(margins[i] for _, _, i in pairs)
    expected = 0.0
    for sequence in vectors:
        squared = {
            name: ((sequence[0] - one) ** 2).sum() for name, one in zip("ABCDE", sequence, strict=True)
        }
        expected += sum(max(0, squared[near] - squared[far] + margins[i]) for near, far, i in pairs) / 14
    found = sequence_loss(torch.from_numpy(vectors.reshape(35, 4)[kept]), own)
    assert float(found) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "bad", [[[0, -1, 2, 3, 4]], [[0, 1, -1, -1, -1]], [[0, 1, 2, 3, 4], [0, 1, -1, 3, 4]]]
)
def test_sequences_without_their_letters_are_refused(bad):
    with pytest.raises(ValueError, match="A, B and at least one"):
        drop_unused_letters(np.array(bad), (0.1, 0.2, 0.4))
