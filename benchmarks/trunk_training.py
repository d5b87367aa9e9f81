"""Training steps of the whole network, trunk included, against a plain loop and the machine's matrix product.

    python benchmarks/trunk_training.py [--trunk narrow|compact|vgg16] [--vgg16 FILE] [--device cuda]

Goal: show what share of the machine's arithmetic a step of the preset `paper` reaches, what keeping
activations saves beside computing them twice, and how long the paper's 3,000 steps would take here. Forward
and backward count as three forward passes. The product's rate is a yardstick, no floor: convolutions may do
with fewer multiply-adds. Not a goal: quality. Patches are phantom bodies', of the sizes
that real lesions have.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from embedding import UniformSampler, phantom_patches, plain_steps, real_extents
from lesiongraph.embedding import (
    PatchLesions,
    Trunk,
    load_trunk,
    train_embedder,
)
from lesiongraph.embedding.batching import held_pixels
from lesiongraph.imaging import Patch
from lesiongraph.recipe import EmbeddingRecipe, preset
from provenance import add_data_argument, print_header
from timing import matmul_rate

PASSES = 3  # products of a training step beside those of a forward pass alone


def step_seconds(train: Callable[[int], None], steps: int, device: torch.device) -> float:
    """Time of one step: that of `1 + steps` less that of one, which warms up and sets up too."""

    def taken(count: int) -> float:
        start = time.perf_counter()
        train(count)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    taken(1)
    return (taken(1 + steps) - taken(1)) / steps


def peak_gb(device: torch.device) -> float:
    """Most memory that was in use at once, of the process or on the card."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def distinct_lesions(recipe: EmbeddingRecipe, sampler: UniformSampler, steps: int) -> np.ndarray:
    """Rows that the steps pass through the network, as the training draws them (random seed 0, phase 0)."""
    drawn = [
        np.unique(sampler.sample(recipe.sequences_per_batch, np.random.default_rng([0, 0, step])))
        for step in range(1, 1 + steps)
    ]
    return np.concatenate(drawn)


def print_steps(trunk: Trunk, patches: list[Patch], recipe: EmbeddingRecipe, steps: int) -> None:
    """Print the time of a step with activations kept, with none kept, and of the plain loop."""
    sampler = UniformSampler(len(patches))

    inputs = PatchLesions(patches, trunk)

    def ours(count: int) -> None:
        train_embedder(inputs, sampler, trunk, dataclasses.replace(recipe, steps=count))

    rate = matmul_rate(repeats=10, device=trunk.device)
    rows = distinct_lesions(recipe, sampler, steps)
    extents = np.array([patch.hu.shape[1:] for patch in patches])
    needed = PASSES * sum(trunk.variant.multiply_adds(*extents[row]) for row in rows) / steps
    lesions = len(rows) / steps
    print(
        f"{lesions:.0f} distinct lesions a step, {extents[rows].prod(1).sum() / steps / 1e6:.2f} Mpx, "
        f"activations kept of {held_pixels(trunk.device) / 1e6:.1f}; "
        f"matrix product {2 * rate / 1e9:.0f} GFLOP/s"
    )

    def told(name: str, seconds: float) -> None:
        print(
            f"{name}: {seconds * 1e3:.0f} ms a step, {lesions / seconds:.1f} lesions/s, "
            f"{needed / seconds / rate:.2f} of the product's rate; "
            f"3,000 steps: {3000 * seconds / 60:.0f} min; peak memory so far {peak_gb(trunk.device):.2f} GB",
            flush=True,
        )

    with mock.patch("lesiongraph.embedding.training.held_pixels", return_value=0):
        twice = step_seconds(ours, steps, trunk.device)
    told("forward twice", twice)
    kept = step_seconds(ours, steps, trunk.device)
    told("activations kept", kept)
    few = max(1, steps // 4)
    plain = step_seconds(
        lambda count: plain_steps(inputs, trunk, dataclasses.replace(recipe, steps=count)), few, trunk.device
    )
    told("plain loop", plain)
    print(f"seconds: plain loop / ours {plain / kept:.2f}, forward twice / kept {twice / kept:.2f}")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--trunk", choices=["narrow", "compact", "vgg16"], default="narrow")
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights file")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sequences", type=int, default=6, help="a step; the paper's S is 24")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    device = torch.device(chosen.device)
    # the product is to be held in the format that the convolutions are allowed on a card
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print_header(torch=torch.__version__, threads=chosen.threads, device=card)
    trunk = load_trunk(chosen.trunk, chosen.vgg16 if chosen.trunk == "vgg16" else None).to(device)
    recipe = dataclasses.replace(
        preset("paper").embedding, sequences_per_batch=chosen.sequences, learning_rate=1e-5
    )
    extents = real_extents(chosen.data)
    picked = np.random.default_rng(1).choice(len(extents), 200)
    print(f"trunk: {trunk.variant.name}, all of it trained, {chosen.sequences} sequences of five a step")
    print_steps(trunk, phantom_patches(extents[picked]), recipe, chosen.steps)


if __name__ == "__main__":
    main()
