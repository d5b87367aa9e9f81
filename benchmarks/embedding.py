"""Patches a second through the trunk, against a plain loop and the machine's matrix product.

    python benchmarks/embedding.py [--trunk compact|narrow|vgg16] [--vgg16 FILE] [--patches 128] [--threads 1]

Goal: show what share of the machine's arithmetic the initial features and the training steps reach, what
padding costs on the sizes that real lesions have (DeepLesion's metadata, where it is at hand), and what
bfloat16 changes. Not a goal: quality of the features, or reading patches from disk.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch.nn import functional

from lesiongraph.embedding import (
    CachedLesions,
    LesionEmbedder,
    LesionInputs,
    Trunk,
    initial_features,
    load_trunk,
    map_shapes,
    sequence_loss,
    train_embedder,
)
from lesiongraph.embedding.batching import batch_pixels, plan_batches
from lesiongraph.embedding.features import PATCHES_AHEAD
from lesiongraph.embedding.precision import multiplies_bfloat16
from lesiongraph.imaging import Patch
from lesiongraph.lesion import BoundingBox
from lesiongraph.phantom import sample_plain_volume
from lesiongraph.recipe import EmbeddingRecipe, preset
from provenance import add_data_argument, print_header
from timing import best_seconds, matmul_rate

PADDING_PX = 50
MAX_PX = 200
STEPS = 30


def real_extents(data: Path) -> np.ndarray:
    """Patch extents (N, 2) of DeepLesion's lesions from their boxes and spacing; drawn ones where absent."""
    path = data / "deeplesion_metadata_val" / "DL_info.csv"
    if not path.exists():
        print("patch sizes: drawn (no metadata of DeepLesion at hand)")
        sides = np.exp(np.random.default_rng(0).normal(np.log(22), 0.5, (2048, 2))).clip(10, 100)
        return (sides + 2 * PADDING_PX).clip(max=MAX_PX).astype(np.int64)
    table = pd.read_csv(path)
    print(f"patch sizes: of {len(table)} lesions of DeepLesion's metadata")
    box = np.array([[float(part) for part in text.split(",")] for text in table.Bounding_boxes])
    spacing = np.array([float(text.split(",")[0]) for text in table.Spacing_mm_px_])
    image = np.array([[float(part) for part in text.split(",")][:2] for text in table.Image_size])
    low = np.maximum(box[:, [1, 0]] * spacing[:, None] - PADDING_PX, 0)
    high = np.minimum(box[:, [3, 2]] * spacing[:, None] + PADDING_PX, image * spacing[:, None])
    extents = high - low
    return np.rint(extents * np.minimum(1, MAX_PX / extents.max(1))[:, None]).astype(np.int64)


def phantom_patches(extents: np.ndarray) -> list[Patch]:
    """Patches of these extents out of phantom bodies."""
    rng = np.random.default_rng(0)
    volumes = [sample_plain_volume(rng, 352).hu for _ in range(2)]
    patches = []
    for height, width in extents:
        hu = volumes[int(rng.integers(len(volumes)))]
        top, left = (
            int(rng.integers(side - part)) for side, part in zip(hu.shape[1:], (height, width), strict=True)
        )
        key = int(rng.integers(1, len(hu) - 1))
        part = np.ascontiguousarray(hu[key - 1 : key + 2, top : top + height, left : left + width])
        edge = min(PADDING_PX, (min(height, width) - 10) // 2)
        patches.append(Patch(part, BoundingBox(edge, edge, width - edge, height - edge)))
    return patches


def padding_share(extents: np.ndarray) -> float:
    """Share of the trunk's input that is padding when patches come in catalogue order."""
    padded = used = 0
    for start in range(0, len(extents), PATCHES_AHEAD):
        group = extents[start : start + PATCHES_AHEAD]
        for batch in plan_batches(group, batch_pixels(torch.device("cpu"))):
            padded += len(batch) * int(group[batch].max(0).prod())
            used += int(group[batch].prod(1).sum())
    return 1 - used / padded


def plain_loop(trunk: Trunk, patches: Sequence[Patch]) -> np.ndarray:
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
            for scale, cells in zip(trunk.variant.scales[:3], maps[1:], strict=True):
                x0, y0, x1, y1 = (int(corner / scale.stride + 0.5) for corner in box)
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


def plain_steps(inputs: LesionInputs, trunk: Trunk, recipe: EmbeddingRecipe) -> None:
    """Train sequence by sequence: each lesion is read and embedded alone, each time it is drawn."""
    head = LesionEmbedder.from_recipe(trunk.variant.channels, recipe).to(trunk.device)
    weights = [*head.parameters(), *(trunk.parameters() if recipe.train_trunk else ())]
    optimiser = torch.optim.SGD(
        weights, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, foreach=False
    )
    sampler = UniformSampler(len(inputs))
    for step in range(recipe.steps):
        optimiser.zero_grad()
        for sequence in sampler.sample(recipe.sequences_per_batch, np.random.default_rng([0, 0, step])):
            vectors = [head(inputs.pieces(np.array([row]), trunk.device)[0].maps()) for row in sequence]
            loss = sequence_loss(torch.cat(vectors)[None], recipe.margins) / recipe.sequences_per_batch
            loss.backward()
        optimiser.step()


def print_steps(trunk: Trunk) -> None:
    """Print the time of a training step of the head on cached maps, and of the plain loop."""
    rng = np.random.default_rng(0)
    maps = [rng.random(shape, np.float32).astype(np.float16) for shape in map_shapes(trunk, 400)]
    chosen = preset("fast" if trunk.variant.name == "vgg16" else "demo").embedding
    recipe = dataclasses.replace(chosen, steps=STEPS)
    inputs, sampler = CachedLesions(maps), UniformSampler(400)
    ours = best_seconds(lambda: train_embedder(inputs, sampler, trunk, recipe)) / STEPS
    few = dataclasses.replace(recipe, steps=3)
    plain = best_seconds(lambda: plain_steps(inputs, trunk, few), 2) / few.steps
    print(
        f"training step, trunk frozen, maps cached: {ours * 1e3:.1f} ms, plain loop {plain * 1e3:.1f} ms; "
        f"ours / plain: {plain / ours:.2f}; 600 steps: {ours * 600:.0f} s"
    )


def print_features(trunk: Trunk, patches: list[Patch]) -> None:
    """Print patches a second in both precisions, against the plain loop and the matrix product."""
    rate = matmul_rate(repeats=10)
    needed = sum(trunk.variant.multiply_adds(*patch.hu.shape[1:]) for patch in patches)
    print(
        f"trunk: {trunk.variant.name}, {len(patches)} patches; matrix product: {2 * rate / 1e9:.0f} GFLOP/s"
    )
    plain = best_seconds(lambda: plain_loop(trunk, patches))
    print(
        f"plain loop: {len(patches) / plain:.1f} patches/s, {needed / plain / rate:.2f} of the product's rate"
    )
    with mock.patch("lesiongraph.embedding.precision.multiplies_bfloat16", return_value=False):
        single = initial_features(patches, trunk)
        seconds = [best_seconds(lambda: initial_features(patches, trunk))]
    names = ["float32"]
    if multiplies_bfloat16():
        seconds.append(best_seconds(lambda: initial_features(patches, trunk)))
        names.append("bfloat16")
    for name, taken in zip(names, seconds, strict=True):
        print(
            f"{name}: {len(patches) / taken:.1f} patches/s, "
            f"{needed / taken / rate:.2f} of the product's rate, "
            f"{plain / taken:.2f} times the plain loop"
        )
    apart = np.abs(single - plain_loop(trunk, patches)).max()
    print(f"float32 and the plain loop differ by at most {apart:.1e}")
    cosines = (initial_features(patches, trunk) * single).sum(1)
    print(f"cosine of the default's features with float32's: least {cosines.min():.5f}")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--trunk", choices=["compact", "narrow", "vgg16"], default="compact")
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights file")
    parser.add_argument("--patches", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print_header(torch=torch.__version__, threads=chosen.threads)
    trunk = load_trunk(chosen.trunk, chosen.vgg16 if chosen.trunk == "vgg16" else None)
    extents = real_extents(chosen.data)
    print(f"padding: {padding_share(extents):.1%} of the trunk's input")
    picked = np.random.default_rng(1).choice(len(extents), chosen.patches)
    print_features(trunk, phantom_patches(extents[picked]))
    print_steps(trunk)


if __name__ == "__main__":
    main()
