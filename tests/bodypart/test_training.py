import dataclasses

import numpy as np
import pytest
import torch

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    PAPER_DESIGN,
    SsbrModel,
    TrainingVolume,
    Variation,
    physical_loss,
    slice_input,
    train_ssbr,
    training_volumes,
    volume_correlations,
)
from lesiongraph.bodypart.augment import body_views, paper_crops, random_crop, random_views
from lesiongraph.errors import NotEnoughDataError
from lesiongraph.recipe import SsbrRecipe

SMALL = SsbrRecipe(volumes_per_batch=2, slices_per_volume=4)
FEW = dataclasses.replace(COMPACT_DESIGN, volumes_per_batch=6)


def toy_hu(seed, n=24):
    """A disc of fat whose core of contrast agent grows from head to foot, as HU (n, 128, 128)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:128, :128]
    radius = np.hypot(rows - 64 + rng.normal(0, 3), columns - 64 + rng.normal(0, 3))
    hu = np.full((n, 128, 128), -1000, np.int16)
    hu[:, radius < 56] = -16
    for i in range(n):
        hu[i][radius < 6 + 44 * i / n] = 178
    return hu


def toy_volume(seed, n=24):
    return TrainingVolume.read(toy_hu(seed, n), (1.0, 1.0), f"toy {seed}", interval_mm=10.0)


def small_volume(seed):
    """The same at a quarter of the size, whole frames: the paper's network takes any size."""
    toy = toy_volume(seed, n=8)
    return dataclasses.replace(toy, slices=np.ascontiguousarray(toy.slices[:, ::4, ::4]))


@pytest.fixture(scope="module")
def trained():
    seen = []
    volumes = [toy_volume(seed) for seed in range(4)]
    model = train_ssbr(
        volumes, SsbrRecipe(), 3, steps=50, design=FEW, progress=lambda *step: seen.append(step)
    )
    return model, volumes, seen


def test_training_learns_the_order_of_a_volume_it_never_saw(trained):
    model, volumes, _ = trained
    assert volume_correlations(model.network, [toy_volume(9)])[0] > 0.9
    assert model.score_per_mm > 0
    z = model.to_z(model.score(volumes[0].slices))
    assert z.max() - z.min() > 0.5


def test_progress_counts_the_steps(trained):
    _, _, seen = trained
    assert [step for step, _, _ in seen] == list(range(1, 51))
    assert {total for _, total, _ in seen} == {50}
    assert np.isfinite([loss for _, _, loss in seen]).all()


def test_the_trunk_starts_as_the_packaged_one_and_its_first_layers_stay(trained):
    model, _, _ = trained
    before, after = SsbrModel.load().network.trunk.state_dict(), model.network.trunk.state_dict()
    moved = {key: float((before[key] - after[key]).abs().max()) for key in before}
    assert [moved[f"{i}.weight"] for i in (0, 2, 5, 7)] == [0, 0, 0, 0]
    assert all(0 < moved[f"{i}.weight"] < 0.1 for i in (10, 12, 14, 17, 19, 21, 24, 26, 28))


def test_a_trained_model_is_saved_as_it_was_judged(trained, tmp_path):
    model, volumes, _ = trained
    model.save(tmp_path / "model.safetensors")
    again = SsbrModel.load(tmp_path / "model.safetensors")
    assert again.score(volumes[0].slices).tolist() == model.score(volumes[0].slices).tolist()
    assert (tmp_path / "model.safetensors").stat().st_size < 8e6


def test_the_same_seed_gives_the_same_weights():
    volumes = [toy_volume(seed, n=8) for seed in range(4)]
    first, second, other = (train_ssbr(volumes, SMALL, seed, steps=2, design=FEW) for seed in (1, 1, 2))
    assert first.sha256 == second.sha256 != other.sha256


def test_training_leaves_torchs_random_state_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    train_ssbr([toy_volume(seed, n=8) for seed in range(4)], SMALL, 1, steps=1, design=FEW)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_views_and_losses_stay_on_their_device():
    # the meta device computes nothing, but refuses what is mixed with tensors of another
    volume = toy_volume(1, n=8)
    strong = Variation(growths=0.5, hidden=1.0)
    views = random_views(
        volume.frames, volume.boxes, 128, np.random.default_rng(0), variation=strong, device="meta"
    )
    assert (views.device.type, tuple(views.shape)) == ("meta", (8, 1, 128, 128))
    rows = torch.ones(2, 4, 32, 32)
    assert paper_crops(rows, 0.3, np.random.default_rng(0), "meta").device.type == "meta"
    scores = torch.zeros(2, 4, device="meta")
    assert physical_loss(scores, torch.tensor([3.0, float("nan")])).device.type == "meta"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("design", [FEW, PAPER_DESIGN])
def test_a_gpu_trains_what_the_cpu_trains(design):
    make = small_volume if design is PAPER_DESIGN else toy_volume
    volumes = [make(seed) for seed in range(4)]
    cpu, gpu = (train_ssbr(volumes, SMALL, 1, steps=3, design=design, device=d) for d in ("cpu", "cuda"))
    assert {weight.device.type for weight in gpu.network.parameters()} == {"cpu"}
    assert gpu.score(volumes[0].slices) == pytest.approx(cpu.score(volumes[0].slices), abs=0.5)


def test_views_differ_as_far_as_asked_and_draw_the_same_numbers():
    volume = toy_volume(1)
    views = {
        name: random_views(volume.frames, volume.boxes, 128, np.random.default_rng(0), variation=variation)
        for name, variation in {
            "default": None,
            "stated": Variation(),
            "strong": Variation(strength=2.0),
            "never zoomed": Variation(zoomed=0.0),
        }.items()
    }
    assert torch.equal(views["default"], views["stated"])
    assert not torch.equal(views["default"], views["strong"])
    assert not torch.equal(views["default"], views["never zoomed"])


def test_growths_fill_the_middle_with_even_grey_and_spare_air_and_bone():
    frame = np.full((40, 192, 192), 60, np.uint8)  # fat …
    frame[:, :, 90:102] = 255  # … a bone down the middle, air at both sides
    frame[:, :, :40] = frame[:, :, -40:] = 0
    boxes = np.tile(np.float32([0, 0, 192, 192]), (40, 1))
    still = Variation(zoomed=0, loose=0, strength=0, hidden=0, growths=1.0)
    seen = random_views(frame, boxes, 128, np.random.default_rng(0), variation=still)[:, 0]
    grown = (seen > 85) & (seen < 150)
    assert grown.flatten(1).sum(dim=1).min() > 200
    assert 90 < float(seen[grown].median()) < 142
    assert ((seen > 230).sum(dim=2)[:, 12:-12] >= 4).all()  # the bone runs through, whatever lies beside it
    assert (seen[:, :, :20] < 8).all()


def test_the_papers_design_trains():
    volumes = [small_volume(seed) for seed in range(4)]
    model = train_ssbr(volumes, SMALL, 0, steps=1, design=PAPER_DESIGN)
    assert isinstance(model, SsbrModel)
    assert model.network.name == "paper"
    assert model.slice_mode == "frame"


def test_too_few_volumes_are_refused_with_numbers():
    volumes = [toy_volume(0), toy_volume(1), toy_volume(2), toy_volume(3, n=7)]
    with pytest.raises(NotEnoughDataError, match=r"4 volumes of at least 8 slices, found 3"):
        train_ssbr(volumes, SsbrRecipe(), 0, steps=1)


def test_random_views_need_whole_frames():
    bare = [dataclasses.replace(toy_volume(seed, n=8), frames=None) for seed in range(4)]
    with pytest.raises(ValueError, match=r"toy 0: .* give frames and boxes"):
        train_ssbr(bare, SMALL, 0, steps=1, design=FEW)


def test_crops_keep_a_third_of_the_intensity():
    rng = np.random.default_rng(0)
    row = torch.from_numpy(toy_volume(0).slices[:8]).float()
    total = float(row.sum())
    drawn = [random_crop(row, 1 / 3, rng) for _ in range(200)]
    for x0, y0, x1, y1 in drawn:
        part = row[:, int(y0 * 128) : int(y1 * 128), int(x0 * 128) : int(x1 * 128)]
        assert float(part.sum()) >= total / 3
    assert sum(crop != (0.0, 0.0, 1.0, 1.0) for crop in drawn) > 150


def test_the_papers_crops_are_shared_by_a_row():
    row = torch.from_numpy(toy_volume(0).slices[:1]).float().expand(8, -1, -1)
    batch = torch.stack([row] * 6)
    cropped = paper_crops(batch, 1 / 3, np.random.default_rng(0))
    assert cropped.shape == batch.shape
    assert torch.equal(cropped, cropped[:, :1].expand_as(cropped))
    assert not torch.equal(cropped, batch)


def test_random_views_keep_range_and_black_and_differ_from_slice_to_slice():
    toy = toy_volume(0, n=1)
    frames, boxes = np.repeat(toy.frames, 12, axis=0), np.repeat(toy.boxes, 12, axis=0)
    views = random_views(frames, boxes, 128, np.random.default_rng(0))
    assert views.shape == (12, 1, 128, 128)
    assert float(views.min()) >= 0
    assert float(views.max()) <= 255
    assert len({view.numpy().tobytes() for view in views}) == 12
    black = random_views(np.zeros_like(frames), boxes, 128, np.random.default_rng(0))
    assert float((black > 0).float().mean()) < 0.02  # a hidden rectangle may be grey


def test_the_plain_view_is_what_slice_input_cuts():
    hu = toy_hu(0)
    toy = toy_volume(0)
    views = body_views(toy.frames, toy.boxes, 128)[:, 0].numpy()
    expected = np.stack([slice_input(one) for one in hu]).astype(float)
    assert np.abs(views - expected).mean() < 6


def test_a_volume_of_whole_frames_can_be_cut_to_the_body():
    framed = TrainingVolume.read(toy_hu(0), (1.0, 1.0), "toy", mode="frame")
    cut = toy_volume(0)
    assert np.abs(framed.as_body().slices.astype(int) - cut.slices).mean() < 6
    assert np.abs(framed.slices.astype(int) - cut.slices).mean() > 6
    with pytest.raises(ValueError, match="no frames"):
        dataclasses.replace(framed, frames=None).as_body()


def test_a_volume_can_follow_another():
    first, second = toy_volume(0, n=5), toy_volume(1, n=3)
    both = first.followed_by(second, "both")
    assert (len(both.slices), len(both.frames), len(both.boxes)) == (8, 8, 8)
    assert (both.interval_mm, both.name) == (10.0, "both")
    assert np.array_equal(both.slices[5:], second.slices)
    with pytest.raises(ValueError, match=r"both: .*frames"):
        first.followed_by(dataclasses.replace(second, frames=None), "both")


def test_slices_may_be_made_to_look_alike():
    toy = toy_volume(0, n=1)
    frames, boxes = np.repeat(toy.frames, 8, axis=0), np.repeat(toy.boxes, 8, axis=0)
    views = random_views(frames, boxes, 128, np.random.default_rng(3), alike=4)
    window = (views > 0).flatten(1)
    assert torch.equal(window[0], window[1]) or float((window[0] != window[1]).float().mean()) < 0.12
    assert float((window[0] != window[4]).float().mean()) > 0.01


def numbered(n):
    slices = np.arange(n, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    return TrainingVolume(slices, float("nan"), "numbered")


def test_an_even_series_is_one_volume():
    (volume,) = training_volumes(numbered(20), np.arange(20) * 2.5)
    assert (len(volume.slices), volume.interval_mm) == (20, 2.5)


def test_pieces_become_volumes_of_their_own():
    position = np.concatenate([np.arange(10) * 5.0, 200 + np.arange(6) * 5.0])
    first, second = training_volumes(numbered(16), position)
    assert first.slices[:, 0, 0].tolist() == list(range(10))
    assert second.slices[:, 0, 0].tolist() == list(range(10, 16))


def test_uneven_thinning_is_made_even():
    position = np.array([0.0, 10, 20, 25, 30, 35, 40, 50, 60])
    (volume,) = training_volumes(numbered(9), position)
    assert volume.interval_mm == 10
    assert volume.slices[:, 0, 0].tolist() == [0, 1, 2, 4, 6, 7, 8]


def test_of_slices_at_one_place_the_first_counts():
    (volume,) = training_volumes(numbered(6), np.array([0.0, 0, 5, 5, 10, 10]))
    assert (volume.slices[:, 0, 0].tolist(), volume.interval_mm) == ([0, 2, 4], 5.0)
    assert training_volumes(numbered(3), np.zeros(3)) == []


def test_unknown_positions_leave_the_interval_unknown():
    (volume,) = training_volumes(numbered(3), np.array([0, np.nan, 2]))
    assert np.isnan(volume.interval_mm)
    assert len(volume.slices) == 3


def test_volumes_without_a_known_interval_still_train():
    volumes = [dataclasses.replace(toy_volume(seed, n=8), interval_mm=float("nan")) for seed in range(4)]
    model = train_ssbr(volumes, SMALL, 0, steps=1, design=FEW)
    assert np.isnan(model.score_per_mm)
