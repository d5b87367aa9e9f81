import dataclasses
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lesiongraph.embedding import (
    CachedLesions,
    Checkpointing,
    LesionEmbedder,
    PatchLesions,
    TrainedEmbedder,
    embed,
    load_trunk,
    pooled_maps,
    refine,
    train_embedder,
)
from lesiongraph.embedding.weights import read_metadata, write_safetensors
from lesiongraph.errors import NotEnoughDataError, WeightsError
from lesiongraph.recipe import EmbeddingRecipe

RECIPE = EmbeddingRecipe(
    trunk="narrow",
    train_trunk=False,
    fc_width=8,
    embedding_width=16,
    sequences_per_batch=6,
    steps=12,
    step_drop=9,
    refinement_steps=4,
    learning_rate=0.02,
    learning_rate_low=0.002,
)


class GroupSampler:
    """Row modulo 5 is a lesion's kind; A and B are of one kind, C, D and E of the next ones."""

    def __init__(self, lesions: int) -> None:
        self.lesions = lesions

    def sample(self, n, rng):
        kinds = np.array([0, 0, 1, 2, 3]) + rng.integers(0, 5, (n, 1))
        return kinds % 5 + 5 * rng.integers(0, self.lesions // 5, (n, 5))


@pytest.fixture(scope="module")
def maps():
    """Pooled maps of 40 lesions: a pattern for each of five kinds, and noise."""
    rng = np.random.default_rng(0)
    return [
        (rng.random((5, c, 5, 5))[np.arange(40) % 5] + rng.random((40, c, 5, 5))).astype(np.float16)
        for c in (32, 64, 128, 128)
    ]


@pytest.fixture
def trunk():
    return load_trunk("narrow", init="scratch")


def same(a: TrainedEmbedder, b: TrainedEmbedder) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.head.parameters(), b.head.parameters(), strict=True))


def test_training_brings_one_kind_together(maps, trunk):
    recipe = dataclasses.replace(RECIPE, steps=80, step_drop=60)
    model = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, recipe)
    vectors = embed(model, CachedLesions(maps))
    distance = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    kind = np.arange(40) % 5
    together = kind[:, None] == kind[None]
    assert np.mean(model.history[-20:]) < 0.8 * np.mean(
        model.history[:5]
    )  # the circle of kinds leaves a rest
    assert distance[together].mean() < 0.5 * distance[~together].mean()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_same_seed_gives_the_same_model_and_leaves_torch_s_generator_alone(maps, trunk):
    before = torch.random.get_rng_state()
    one, again = (
        train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE, rng_seed=4) for _ in "ab"
    )
    other = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE, rng_seed=5)
    assert same(one, again)
    assert not same(one, other)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("stop_in", ["training", "refinement"])
def test_a_stopped_run_goes_on_to_the_same_result(maps, trunk, tmp_path, stop_in):
    def run(checkpoint, stop_at=None):
        def watch(phase):
            def progress(step, steps, loss):
                if (phase, step) == stop_at:
                    raise KeyboardInterrupt

            return progress

        model = train_embedder(
            CachedLesions(maps),
            GroupSampler(40),
            trunk,
            RECIPE,
            checkpoint=checkpoint,
            progress=watch("training"),
        )
        return refine(
            model, CachedLesions(maps), GroupSampler(40), checkpoint=checkpoint, progress=watch("refinement")
        )

    whole = run(None)
    checkpoint = Checkpointing(tmp_path, every=2)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, stop_at=(stop_in, 3))
    resumed = run(checkpoint)
    assert same(whole, resumed)
    assert whole.history == resumed.history
    checkpoint.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_really_taken_up(maps, trunk, tmp_path):
    checkpoint = Checkpointing(tmp_path, every=2)
    first = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE, checkpoint=checkpoint)
    steps = []
    again = train_embedder(
        CachedLesions(maps),
        GroupSampler(40),
        trunk,
        RECIPE,
        checkpoint=checkpoint,
        progress=lambda *step: steps.append(step),
    )
    assert steps == []
    assert same(first, again)


def test_a_checkpoint_of_another_recipe_is_not_taken_up(maps, trunk, tmp_path):
    checkpoint = Checkpointing(tmp_path, every=2)
    train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE, checkpoint=checkpoint)
    other = dataclasses.replace(RECIPE, learning_rate=0.05)
    found = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, other, checkpoint=checkpoint)
    assert same(found, train_embedder(CachedLesions(maps), GroupSampler(40), trunk, other))


def test_a_damaged_checkpoint_is_named(maps, trunk, tmp_path):
    checkpoint = Checkpointing(tmp_path)
    checkpoint.path(0).write_bytes(b"not a checkpoint")
    with pytest.raises(WeightsError, match=r"training-0\.pt.*Delete it"):
        train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE, checkpoint=checkpoint)


@pytest.mark.slow
def test_killed_with_sigkill_and_run_again(maps, trunk, tmp_path):
    np.savez(tmp_path / "maps.npz", *maps)
    script = textwrap.dedent(
        f"""
        import os, signal, sys
        from pathlib import Path
        import numpy as np, torch
        sys.path.insert(0, {str(__file__).rsplit("/", 1)[0]!r})
        torch.set_num_threads(1)
        from test_embedder_training import *
        folder = Path({str(tmp_path)!r})
        with np.load(folder / "maps.npz") as file:
            maps = [file[name] for name in file.files]
        def progress(step, steps, loss):
            if step == 7:
                os.kill(os.getpid(), signal.SIGKILL)
        train_embedder(CachedLesions(maps), GroupSampler(40), load_trunk("narrow", init="scratch"), RECIPE,
                       checkpoint=Checkpointing(folder, every=2), progress=progress)
        """
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -9
    steps = []
    resumed = train_embedder(
        CachedLesions(maps),
        GroupSampler(40),
        trunk,
        RECIPE,
        checkpoint=Checkpointing(tmp_path, every=2),
        progress=lambda step, *_: steps.append(step),
    )
    assert steps[0] == 7  # steps 1–6 were in the checkpoint
    assert same(resumed, train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE))


def test_save_and_load_give_the_same_vectors_and_the_same_bytes(maps, trunk, tmp_path):
    model = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE)
    model.save(tmp_path / "a.safetensors")
    loaded = TrainedEmbedder.load(tmp_path / "a.safetensors", trunk)
    loaded.save(tmp_path / "b.safetensors")
    np.testing.assert_array_equal(embed(model, CachedLesions(maps)), embed(loaded, CachedLesions(maps)))
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert loaded.recipe == RECIPE
    assert loaded.history == model.history
    stated = json.loads(read_metadata(tmp_path / "a.safetensors")["lesiongraph"])
    assert stated["trunk"] == "narrow"
    assert stated["frozen"] == ["trunk"]
    assert stated["fc_width"] == 8
    assert len(stated["trunk_sha256"]) == 64


def test_a_frozen_trunk_of_other_weights_is_refused(maps, trunk, tmp_path):
    model = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE)
    model.save(tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="frozen trunk"):
        TrainedEmbedder.load(tmp_path / "a.safetensors")  # would take the packaged weights


def test_a_file_that_is_no_embedder_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="safetensors file"):
        TrainedEmbedder.load(tmp_path / "x.safetensors")


def test_five_lesions_at_least(maps, trunk):
    with pytest.raises(NotEnoughDataError, match="at least 5 lesions, found 4"):
        train_embedder(CachedLesions(maps, np.arange(4)), GroupSampler(40), trunk, RECIPE)


def test_rows_choose_among_the_cached_maps(maps, trunk):
    model = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE)
    rows = np.array([7, 3, 30])
    np.testing.assert_allclose(
        embed(model, CachedLesions(maps, rows)), embed(model, CachedLesions(maps))[rows], atol=1e-6
    )


def test_arrays_of_unequal_length_are_refused(maps):
    with pytest.raises(ValueError, match="equal length"):
        CachedLesions([maps[0][:3], *maps[1:]])


def train_trunk(patches, monkeypatch, *, batch_px: int, held_px: int) -> tuple[list[torch.Tensor], int]:
    """Return all weights after two steps, and how often a batch went through the trunk."""
    recipe = dataclasses.replace(RECIPE, train_trunk=True, steps=2, sequences_per_batch=2, learning_rate=1e-4)
    monkeypatch.setattr("lesiongraph.embedding.inputs.batch_pixels", lambda _device: batch_px)
    monkeypatch.setattr("lesiongraph.embedding.training.held_pixels", lambda _device: held_px)
    monkeypatch.setattr("lesiongraph.embedding.batching.MAX_PADDING", 0.9)
    trunk = load_trunk("narrow")
    start = trunk.features[0].weight.detach().clone()
    passes = []
    trunk.register_forward_hook(lambda *_: passes.append(1))
    model = train_embedder(PatchLesions(patches, trunk), GroupSampler(10), trunk, recipe)
    assert not torch.equal(start, trunk.features[0].weight)
    weights = [value.detach().clone() for value in (*trunk.parameters(), *model.head.parameters())]
    return weights, len(passes)


def test_training_the_trunk_piece_by_piece_is_training_at_once(make_patch, monkeypatch):
    """The gradient carried back batch by batch is the gradient of the whole mini-batch."""
    patches = [make_patch(32 + 8 * (i % 3), 40, seed=i) for i in range(10)]
    found = [
        train_trunk(patches, monkeypatch, batch_px=batch_px, held_px=1_000_000)[0]
        for batch_px in (1_000_000, 3_000)
    ]
    for at_once, by_piece in zip(*found, strict=True):
        torch.testing.assert_close(at_once, by_piece, rtol=1e-4, atol=1e-5)


def test_pieces_beyond_the_room_go_through_the_network_twice_with_the_same_result(make_patch, monkeypatch):
    patches = [make_patch(32 + 8 * (i % 3), 40, seed=i) for i in range(10)]
    results = [
        train_trunk(patches, monkeypatch, batch_px=3_000, held_px=held) for held in (1_000_000, 4_000, 0)
    ]
    (all_held, passes), (some_held, more_passes), (none_held, most_passes) = results
    assert passes < more_passes < most_passes == 2 * passes
    for others in (some_held, none_held):
        for one, other in zip(all_held, others, strict=True):
            assert torch.equal(one, other)


def test_a_frozen_trunk_stays_as_it_is(maps, trunk):
    before = [value.clone() for value in trunk.parameters()]
    train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE)
    assert all(torch.equal(a, b) for a, b in zip(before, trunk.parameters(), strict=True))


def test_a_trained_trunk_is_saved_with_the_head(make_patch, tmp_path):
    patches = [make_patch(32, 40, seed=i) for i in range(10)]
    recipe = dataclasses.replace(RECIPE, train_trunk=True, steps=1, sequences_per_batch=2)
    trunk = load_trunk("narrow")
    model = train_embedder(PatchLesions(patches, trunk), GroupSampler(10), trunk, recipe)
    model.save(tmp_path / "m.safetensors")
    loaded = TrainedEmbedder.load(tmp_path / "m.safetensors")
    assert loaded.frozen == ()
    np.testing.assert_array_equal(
        embed(loaded, PatchLesions(patches, loaded.trunk)), embed(model, PatchLesions(patches, model.trunk))
    )


def test_cached_maps_and_patches_embed_alike(make_patch):
    patches = [make_patch(32 + 8 * (i % 3), 48, seed=i) for i in range(7)]
    trunk = load_trunk("narrow")
    head = LesionEmbedder.from_recipe(trunk.variant.channels, RECIPE)
    model = TrainedEmbedder(trunk, head, RECIPE)
    cached = embed(model, CachedLesions(pooled_maps(patches, trunk)))
    np.testing.assert_allclose(embed(model, PatchLesions(patches, trunk)), cached, atol=2e-3)


def test_a_loss_that_is_not_finite_stops_the_training(maps, trunk):
    broken = [array.copy() for array in maps]
    broken[0][:] = np.nan
    with pytest.raises(FloatingPointError, match="learning rate"):
        train_embedder(CachedLesions(broken), GroupSampler(40), trunk, RECIPE)


def _restate(path, **changes):
    """Write a model file anew with other statements in it."""
    stated = json.loads(read_metadata(path)["lesiongraph"])
    stated["recipe"] = {k: v for k, v in (stated["recipe"] | changes).items() if v is not None}
    write_safetensors(path, load_file(path), {"lesiongraph": json.dumps(stated)})


def test_a_model_of_an_earlier_version_loads(maps, trunk, tmp_path):
    model = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, RECIPE)
    model.save(path := tmp_path / "model.safetensors")
    _restate(path, cues=None, maps=None, labeller=None, abstain=None)
    again = TrainedEmbedder.load(path, trunk)
    assert again.recipe == RECIPE
    np.testing.assert_array_equal(embed(again, CachedLesions(maps)), embed(model, CachedLesions(maps)))


def test_a_head_of_other_maps_than_stated_is_refused(maps, trunk, tmp_path):
    recipe = dataclasses.replace(RECIPE, maps=("conv4",))
    model = train_embedder(CachedLesions(maps), GroupSampler(40), trunk, recipe)
    model.save(path := tmp_path / "model.safetensors")
    assert model.describe()["maps"] == ["conv4"]
    assert TrainedEmbedder.load(path, trunk).head.scales == (2,)
    _restate(path, maps=["conv3", "conv4"])
    with pytest.raises(WeightsError, match="its head"):
        TrainedEmbedder.load(path, trunk)
