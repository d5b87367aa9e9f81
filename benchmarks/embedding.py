"""Patches a second through the trunk, against a plain loop and the machine's matrix product.

    python benchmarks/embedding.py [--trunk narrow|vgg16] [--vgg16 FILE] [--patches 64] [--threads 1]

Goal: show what share of the machine's arithmetic the initial features and the training steps reach.
Not a goal: quality of the features, or reading patches from disk.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from lesiongraph.embedding import (
    CachedLesions,
    Trunk,
    initial_features,
    load_trunk,
    map_shapes,
    train_embedder,
)
from lesiongraph.embedding.trunk import CONVS_PER_STAGE, MAP_STRIDES
from lesiongraph.imaging import Patch
from lesiongraph.lesion import BoundingBox
from lesiongraph.recipe import preset
from provenance import print_header


def best_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Best wall time of some calls, after one that warms up."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def matmul_rate(side: int = 2048) -> float:
    """Measured floating point operations a second of a square float32 matrix product."""
    a = torch.randn(side, side)
    return 2 * side**3 / best_seconds(lambda: a @ a)


def trunk_operations(trunk: Trunk, height: int, width: int) -> int:
    """Floating point operations of all convolutions on one patch."""
    total, channels = 0, 3
    for stage, (convs, out) in enumerate(zip(CONVS_PER_STAGE, trunk.variant.widths, strict=True)):
        for _ in range(convs):
            total += 2 * 9 * channels * out * (height >> stage) * (width >> stage)
            channels = out
    return total


def draw_patches(count: int) -> list[Patch]:
    """Patches of the sizes lesions have: median 16 mm, log-normal, plus 50 mm on every side."""
    rng = np.random.default_rng(0)
    patches = []
    for _ in range(count):
        height, width = (int(side) for side in 100 + np.exp(rng.normal(np.log(22), 0.5, 2)).clip(10, 100))
        hu = rng.integers(-1000, 400, (3, height, width)).astype(np.int16)
        patches.append(Patch(hu, BoundingBox(50, 50, width - 50, height - 50)))
    return patches


def plain_loop(trunk: Trunk, patches: list[Patch]) -> np.ndarray:
    """The same features one lesion at a time, without batches, masks or shared pooling."""
    rows = []
    with torch.no_grad():
        for patch in patches:
            x = trunk.prepare(torch.from_numpy(patch.hu.astype(np.float32))[None])
            maps = []
            for layer in trunk.features:
                if isinstance(layer, torch.nn.MaxPool2d):
                    maps.append(x)
                x = layer(x)
            scales = []
            box = (patch.box.x0, patch.box.y0, patch.box.x1, patch.box.y1)
            for stride, cells in zip(MAP_STRIDES[:3], maps[1:], strict=True):
                x0, y0, x1, y1 = (int(corner / stride + 0.5) for corner in box)
                scales.append(cells[:, :, y0 : y1 + 1, x0 : x1 + 1].amax((2, 3)))
            scales.append(x.amax((2, 3)))
            joined = torch.cat([functional.normalize(scale) for scale in scales], dim=1)
            rows.append(functional.normalize(joined)[0].numpy())
    return np.stack(rows)


class UniformSampler:
    """Sequences without meaning: only their cost counts here."""

    def __init__(self, lesions: int) -> None:
        self.lesions = lesions

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, 5) rows."""
        return rng.integers(0, self.lesions, (n, 5))


def step_seconds(trunk: Trunk, steps: int = 30) -> float:
    """Seconds of one training step of the head on cached maps (24 sequences)."""
    rng = np.random.default_rng(0)
    maps = [rng.random(shape, np.float32).astype(np.float16) for shape in map_shapes(trunk, 400)]
    chosen = preset("demo" if trunk.variant.name == "narrow" else "fast").embedding
    recipe = dataclasses.replace(chosen, steps=steps)
    return (
        best_seconds(lambda: train_embedder(CachedLesions(maps), UniformSampler(400), trunk, recipe), 1)
        / steps
    )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trunk", choices=["narrow", "vgg16"], default="narrow")
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights file")
    parser.add_argument("--patches", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print_header(torch=torch.__version__, threads=chosen.threads)
    trunk = load_trunk(chosen.trunk, chosen.vgg16 if chosen.trunk == "vgg16" else None)
    patches = draw_patches(chosen.patches)
    difference = np.abs(initial_features(patches, trunk) - plain_loop(trunk, patches)).max()
    rate = matmul_rate()
    operations = sum(trunk_operations(trunk, *patch.hu.shape[1:]) for patch in patches)
    ours = best_seconds(lambda: initial_features(patches, trunk))
    plain = best_seconds(lambda: plain_loop(trunk, patches))
    square = trunk_operations(trunk, 150, 150) / operations * ours
    step = step_seconds(trunk)
    print(f"trunk: {trunk.variant.name}, {chosen.patches} patches, largest difference {difference:.1e}")
    print(f"matrix product: {rate / 1e9:.0f} GFLOP/s")
    print(f"initial features: {len(patches) / ours:.1f} patches/s, {square * 1e3:.1f} ms per 150×150 patch")
    print(f"plain loop:       {len(patches) / plain:.1f} patches/s; ours / plain: {plain / ours:.2f}")
    shares = [operations / seconds / rate for seconds in (ours, plain)]
    print(f"share of the matrix product's rate: {shares[0]:.2f} (plain loop {shares[1]:.2f})")
    print(f"training step, trunk frozen, maps cached: {step * 1e3:.1f} ms; 600 steps: {step * 600:.0f} s")


if __name__ == "__main__":
    main()
