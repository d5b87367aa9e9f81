"""Parts of `tools/train_embedder.py` on a few rendered lesions."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "tools")]

import embedding_batches as batches_module  # noqa: E402
from embedding_batches import DeviceLesions, Draw, draw_cut, in_chunks  # noqa: E402
from embedding_lesions import Bodies, LesionSet, phantom_lesions  # noqa: E402
from embedding_measures import errors_among_others, found_again  # noqa: E402
from embedding_rendering import load, render  # noqa: E402
from lesiongraph.embedding.batching import stack_patches  # noqa: E402
from lesiongraph.lesion import LESION_TYPES  # noqa: E402
from lesiongraph.phantom.difficulty import CALIBRATION_SEEDS, EVALUATION_SEEDS  # noqa: E402
from train_embedder import BUDGETS, HELD_OUT, rate_share  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def lesions() -> LesionSet:
    return phantom_lesions(Bodies(1, 5, "hard", visits=2, of_type=2))


def test_a_batch_on_the_device_is_the_patches_padded(
    lesions: LesionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches_module, "BLOCK_VALUES", 500_000)  # several blocks
    stored = DeviceLesions(lesions, CPU)
    rows = np.array([len(stored) - 1, 0, 7, 3])
    batch, expected = stored.batch(rows), stack_patches([lesions.patches[row] for row in rows], CPU)
    height, width = expected.hu.shape[2:]
    torch.testing.assert_close(batch.hu[:, :, :height, :width], expected.hu)
    assert batch.hu[:, :, height:].abs().sum() + batch.hu[..., width:].abs().sum() == 0
    torch.testing.assert_close(batch.boxes, expected.boxes)
    torch.testing.assert_close(batch.extents, expected.extents)


def test_a_cut_patch_is_a_part_of_it_and_its_box_moves_along(lesions: LesionSet) -> None:
    stored = DeviceLesions(lesions, CPU)
    patch = lesions.patches[2]
    height, width = patch.hu.shape[1:]
    batch = stored.batch(np.array([2]), np.array([[3, 5, 7, 2]]))
    assert batch.extents.tolist() == [[height - 5 - 2, width - 3 - 7]]
    part = torch.from_numpy(patch.hu[:, 5 : height - 2, 3 : width - 7]).float()
    torch.testing.assert_close(batch.hu[0, :, : height - 7, : width - 10], part)
    assert batch.boxes[0].tolist() == pytest.approx(
        [patch.box.x0 - 3, patch.box.y0 - 5, patch.box.x1 - 3, patch.box.y1 - 5], abs=1e-4
    )


def test_cuts_leave_a_margin_round_the_lesion(lesions: LesionSet) -> None:
    stored = DeviceLesions(lesions, CPU)
    rows = np.arange(len(stored))
    cut = np.concatenate([draw_cut(stored, rows, np.random.default_rng(i)) for i in range(20)])
    boxes, extents = np.tile(stored.boxes, (20, 1)), np.tile(stored.extents, (20, 1))
    room = np.concatenate([boxes[:, :2], extents[:, ::-1] - 1 - boxes[:, 2:]], axis=1)
    assert cut.max() == batches_module.MOST_CUT_PX
    assert ((room - cut)[cut > 0] >= batches_module.LEAST_MARGIN_PX).all()


def test_a_draw_holds_both_views_of_two_lesions_of_a_body_and_type(lesions: LesionSet) -> None:
    rows = Draw(lesions, np.random.default_rng(0)).rows(32).reshape(len(LESION_TYPES), 2, 2)
    for code, (one, other) in enumerate(rows):
        assert {lesions.types[row] for row in (*one, *other)} == {LESION_TYPES[code]}
        assert lesions.instances[one[0]] == lesions.instances[one[1]]
        assert lesions.instances[other[0]] == lesions.instances[other[1]]
    apart = sum(lesions.instances[one[0]] != lesions.instances[other[0]] for one, other in rows)
    assert apart >= len(LESION_TYPES) - 2  # a lesion that does not show leaves its kin alone


def test_every_lesion_may_be_drawn(lesions: LesionSet) -> None:
    draw = Draw(lesions, np.random.default_rng(0))
    assert {int(row) for pairs in draw._pairs for row in pairs.reshape(-1)} == set(range(len(lesions.types)))


def test_chunks_cover_a_batch_and_grow(lesions: LesionSet) -> None:
    stored = DeviceLesions(lesions, CPU)
    rows = np.arange(16)
    chunks = in_chunks(stored, rows)
    assert sorted(np.concatenate(chunks)) == list(range(16))
    assert [len(chunk) for chunk in chunks] == [12, 3, 1]
    largest = [stored.extents[rows[chunk]].max() for chunk in chunks]
    assert largest == sorted(largest)


def test_measures_of_a_likeness_that_knows_instances(lesions: LesionSet) -> None:
    instances = np.array(lesions.instances)
    knowing = (instances[:, None] == instances[None, :]).astype(np.float32)
    assert found_again(knowing, lesions)["same_again"] == 100
    found = found_again(-knowing, lesions)
    assert found["same_again"] == 0 == found["same_again_of_type"]
    assert 0 < found["same_again_of_type_n"] <= found["same_again_n"] <= len(instances)


def test_errors_are_of_the_five_nearest_of_other_bodies() -> None:
    lesions = LesionSet(types=["lung"] * 9 + ["bone"], owners=["a"] * 5 + ["b"] * 5)
    lesions.locations = [(0.0, 0.0, 0.0)] * 5 + [(0.0, 0.0, 0.5)] * 5
    lesions.sizes_mm = [(10.0, 5.0)] * 10
    own = np.array(lesions.owners)[:, None] == np.array(lesions.owners)[None, :]
    found = errors_among_others(own.astype(np.float32), lesions)
    # one hit of five is wrong for each of a, none for four of b, all five for the last: 10 of 50
    assert found == {"type_are": 20.0, "location": 0.5, "log_size": 0.0}


def test_portions_are_rendered_once_and_in_the_order_asked(tmp_path: Path) -> None:
    wanted = Bodies(2, 6, "plain").portions(1)
    assert render(wanted, tmp_path, limit_s=0.0) == []
    assert render(wanted[:1], tmp_path) == [wanted[0]]
    written = next(tmp_path.iterdir()).stat().st_mtime_ns
    assert render(wanted, tmp_path, limit_s=0.0) == [wanted[0]]
    assert next(tmp_path.iterdir()).stat().st_mtime_ns == written
    assert set(load(wanted[:1], tmp_path).owners) == {"plain 6 body 0"}


def test_nothing_is_rendered_of_a_seed_that_results_are_reported_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="results are reported"):
        render([Bodies(1, EVALUATION_SEEDS[0], "hard")], tmp_path)


def test_bodies_held_out_are_of_no_training_seed() -> None:
    held_out = {portion.rng_seed for portions in HELD_OUT.values() for portion in portions}
    trained = {portion.rng_seed for budget in BUDGETS.values() for portion in budget.bodies}
    assert not trained & (held_out | set(EVALUATION_SEEDS) | set(CALIBRATION_SEEDS))
    assert sum(portion.bodies for portion in BUDGETS["cpu"].bodies) == 850


def test_the_rate_ends_low_whatever_used_the_budget_up() -> None:
    assert rate_share(0.0, 0, 100) == pytest.approx(0.01)
    assert rate_share(0.0, 99, 100) == 1.0
    assert rate_share(1.0, 5000, 100) == rate_share(1.3, 5000, 100) == pytest.approx(0.01)
