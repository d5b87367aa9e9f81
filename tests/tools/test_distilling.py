"""Parts of `tools/distil_trunk.py` on a teacher and a student of a few channels."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tools")]

from distilling import tuning as tuning_module  # noqa: E402
from distilling.agreement import agreement, unit_scales  # noqa: E402
from distilling.closed_form import choose_channels, regress, set_in_closed_form  # noqa: E402
from distilling.crops import CROP_SIDES_PX, draw_crops  # noqa: E402
from distilling.losses import pool_scales, relation_loss  # noqa: E402
from distilling.teacher import teach  # noqa: E402
from distilling.tuning import Tuning, draw_boxes, tune  # noqa: E402
from distilling.volumes import Volume  # noqa: E402
from lesiongraph.embedding import Trunk, TrunkVariant, pooled_maps  # noqa: E402

TEACHER, STUDENT = TrunkVariant("t", (4, 6, 8, 8, 8)), TrunkVariant("s", (3, 4, 5, 5, 5))


def seeded(variant: TrunkVariant, seed: int = 0) -> Trunk:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Trunk(variant).eval()


@pytest.fixture(scope="module")
def volume() -> Volume:
    """A round body with a dense and a light half."""
    rows, columns = np.mgrid[:200, :220]
    body = np.hypot((rows - 100) / 80, (columns - 110) / 95) < 1
    hu = np.where(body, np.where(columns < 110, 60, -700), -1000)
    return Volume("round", np.repeat(hu[None], 12, axis=0).astype(np.int16), 3.0)


@pytest.fixture(scope="module")
def crops(volume):
    return draw_crops([volume], 24, np.random.default_rng(0))


def test_crops_are_what_an_embedder_sees(volume, crops):
    for crop in crops:
        side = crop.hu.shape[1]
        assert side in CROP_SIDES_PX
        assert crop.hu.shape == (3, side, side)
        assert crop.hu.dtype == np.int16
        assert 0 <= crop.box.x0 < crop.box.x1 <= side - 1
        assert 0 <= crop.box.y0 < crop.box.y1 <= side - 1
        assert max(crop.box.x1 - crop.box.x0, crop.box.y1 - crop.box.y0) >= 10
    again = draw_crops([volume], 24, np.random.default_rng(0))
    assert all(np.array_equal(a.hu, b.hu) and a.box == b.box for a, b in zip(crops, again, strict=True))


def test_the_chosen_channels_are_those_that_explain_the_others():
    rng = torch.Generator().manual_seed(0)
    base = torch.randn(500, 2, generator=rng)
    mixed = base @ torch.tensor([[1.0, 2.0, 0.5], [0.5, -1.0, 1.0]])
    responses = torch.cat([0.01 * torch.randn(500, 3, generator=rng), base * 3, mixed], dim=1)
    chosen = choose_channels(responses, 2)
    left = responses - responses.mean(0)
    fit = torch.linalg.lstsq(left[:, chosen], left).solution
    assert float((left - left[:, chosen] @ fit).square().mean()) < 2e-4


def test_regression_finds_the_line():
    inputs = torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    wanted = torch.tensor([[1.0, 2.0, -1.0, 0.0], [0.0, 0.5, 0.0, 3.0]])
    weights, bias = regress(inputs, inputs @ wanted.T + torch.tensor([4.0, -2.0]), ridge=1e-9)
    torch.testing.assert_close(weights, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(bias, torch.tensor([4.0, -2.0]), atol=1e-4, rtol=0)


def test_a_student_as_wide_as_its_teacher_becomes_its_teacher(crops):
    teacher, student = seeded(TEACHER), seeded(TEACHER, 1)
    hu = torch.from_numpy(np.stack([crop.hu for crop in crops if crop.hu.shape[1] == 128])).float()
    with torch.no_grad():
        set_in_closed_form(student, teacher, hu, np.random.default_rng(0))
    theirs = unit_scales(teacher, crops)
    assert agreement(unit_scales(student, crops), theirs)["all"] > 0.995  # a ridge keeps it from 1
    assert agreement(unit_scales(seeded(TEACHER, 1), crops), theirs)["all"] < 0.99


def test_the_loss_of_equal_cosines_is_zero_and_of_shuffled_ones_is_not():
    features = torch.nn.functional.normalize(
        torch.randn(12, 5, generator=torch.Generator().manual_seed(0)), dim=1
    )
    cosines = features @ features.T
    owner = torch.arange(4).repeat(3)
    pairs = owner[:, None] != owner[None]
    assert float(relation_loss(cosines, cosines, pairs)) == pytest.approx(0, abs=1e-5)
    mixed = features[torch.randperm(12, generator=torch.Generator().manual_seed(1))]
    assert float(relation_loss(mixed @ mixed.T, cosines, pairs)) > 0.3


def test_boxes_are_pooled_as_the_package_pools_them(crops):
    trunk = seeded(STUDENT)
    group = [crop for crop in crops if crop.hu.shape[1] == 128][:3]
    boxes = draw_boxes(3, 128, np.random.default_rng(0))
    for row, crop in enumerate(group):
        boxes.lesions[0, row] = torch.tensor([crop.box.x0, crop.box.y0, crop.box.x1, crop.box.y1])
    with torch.no_grad():
        pooled = pool_scales(trunk(torch.from_numpy(np.stack([crop.hu for crop in group])).float()), boxes)
    for found, wanted in zip(pooled[:4], pooled_maps(group, trunk, roi_size=5), strict=True):
        np.testing.assert_allclose(found[:3], wanted.astype(np.float32), rtol=0.05, atol=0.5)


def test_tuning_brings_the_student_nearer(crops, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning_module, "LEARNING_RATE", 3e-3)
    teacher, student = seeded(TEACHER), seeded(STUDENT, 1)
    theirs = unit_scales(teacher, crops)
    before = agreement(unit_scales(student, crops), theirs)["all"]
    groups = teach(teacher, crops, tmp_path, lambda _done, _total: None)
    assert sum(len(group) for group in groups) == len(crops)
    losses = []
    tuned = tune(
        Tuning(student, groups), 40, np.random.default_rng(0), lambda _step, values: losses.append(values)
    )
    assert len(losses) == 40
    assert agreement(unit_scales(tuned, crops), theirs)["all"] > before + 0.03


def test_maps_of_the_same_crops_are_taken_up_again(crops, tmp_path):
    teacher, calls = seeded(TEACHER), []

    def taught(some):
        calls.clear()
        return teach(teacher, some, tmp_path, lambda done, total: calls.append((done, total)))

    rows = np.arange(2)
    first = [one.clone() for one in taught(crops)[0].targets(rows)]
    assert calls[-1] == (len(crops), len(crops))
    again = taught(crops)[0].targets(rows)
    assert calls == []
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    taught(crops[1:])
    assert calls[-1] == (len(crops) - 1, len(crops) - 1)
