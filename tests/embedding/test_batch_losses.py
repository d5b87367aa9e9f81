import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from lesiongraph.embedding import log_ratio_loss, supervised_contrastive_loss

GENERATOR = torch.Generator().manual_seed(3)
VECTORS = functional.normalize(torch.randn(9, 6, generator=GENERATOR, dtype=torch.float64), dim=1)
TYPES = torch.tensor([0, 0, 1, 1, 1, 2, 0, -1, 1])
LABELS = torch.rand(9, 3, generator=GENERATOR, dtype=torch.float64)


def slow_contrastive(temperature: float) -> float:
    rows = [i for i in range(9) if TYPES[i] >= 0]
    terms = []
    for i in rows:
        positives = [p for p in rows if p != i and TYPES[p] == TYPES[i]]
        if not positives:
            continue
        likeness = {a: math.exp(float(VECTORS[i] @ VECTORS[a]) / temperature) for a in rows if a != i}
        shares = [math.log(likeness[p] / sum(likeness.values())) for p in positives]
        terms.append(-sum(shares) / len(shares))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_contrastive_against_a_slow_loop(temperature: float) -> None:
    found = supervised_contrastive_loss(VECTORS, TYPES, temperature)
    assert float(found) == pytest.approx(slow_contrastive(temperature))


def test_log_ratio_against_a_slow_loop() -> None:
    terms = []
    for i in range(9):
        others = [j for j in range(9) if j != i and TYPES[j] == TYPES[i] and TYPES[i] >= 0]
        if len(others) < 2:
            continue
        gaps = []
        for j in others:
            apart = float((VECTORS[i] - VECTORS[j]).square().sum())
            gaps.append(math.log(apart) - math.log(float((LABELS[i] - LABELS[j]).square().sum())))
        terms.append(float(np.var(gaps)))
    assert float(log_ratio_loss(VECTORS, LABELS, TYPES)) == pytest.approx(np.mean(terms), rel=1e-6)


def test_log_ratio_is_zero_where_distances_are_proportional() -> None:
    angles = torch.tensor([0.0, 0.2, 0.5, 0.9], dtype=torch.float64)
    vectors = torch.stack([angles.cos(), angles.sin()], dim=1)
    loss = log_ratio_loss(vectors, 3 * vectors, torch.zeros(4, dtype=torch.long))
    assert float(loss) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("types", [torch.tensor([0, 1, 2]), torch.tensor([-1, -1, -1])])
def test_nothing_to_compare_gives_zero_and_a_gradient(types: torch.Tensor) -> None:
    vectors = VECTORS[:3].clone().requires_grad_()
    loss = supervised_contrastive_loss(vectors, types) + log_ratio_loss(vectors, LABELS[:3], types)
    loss.backward()
    assert loss.item() == 0
    assert vectors.grad is not None
    assert (vectors.grad == 0).all()


def test_contrast_within_groups_is_that_of_each_group_alone() -> None:
    instances, groups = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4]), torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2])
    found = supervised_contrastive_loss(VECTORS, instances, among=groups)
    alone = [
        supervised_contrastive_loss(VECTORS[rows], instances[rows]) for rows in (slice(0, 4), slice(4, 8))
    ]
    assert float(found) == pytest.approx(float(sum(alone)) / 2)


def test_a_lesion_alone_in_its_group_leaves_gradients_finite() -> None:
    vectors = VECTORS[:3].clone().requires_grad_()
    loss = supervised_contrastive_loss(vectors, torch.tensor([0, 0, 1]), among=torch.tensor([0, 0, 1]))
    loss.backward()
    assert vectors.grad is not None
    assert vectors.grad.isfinite().all()
