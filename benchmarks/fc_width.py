"""What the width of the FC layers costs: parameters of the head and CPU time of a training step.

    python benchmarks/fc_width.py [--widths 64 128 256 512 1024] [--steps 12]

Input: random pooled maps of the right shapes, random sequences, a frozen trunk without trained weights (it is
never run): the time of a step does not depend on the numbers. CPU time of one thread, so that other processes
disturb little. Not a goal: quality.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
import torch

from embedding import UniformSampler
from lesiongraph.embedding import (
    NARROW,
    VGG16,
    CachedLesions,
    LesionEmbedder,
    Trunk,
    map_shapes,
    train_embedder,
)
from lesiongraph.recipe import EmbeddingRecipe, preset
from provenance import print_header

LESIONS = 400
DEMO = preset("demo").embedding


def head_parameters(trunk: Trunk, recipe: EmbeddingRecipe) -> int:
    head = LesionEmbedder.from_recipe(trunk.variant.channels, recipe)
    return sum(one.numel() for one in head.parameters())


def step_ms(lesions: CachedLesions, trunk: Trunk, recipe: EmbeddingRecipe) -> float:
    """Return the median CPU time of the steps after the first two, in ms."""
    marks: list[float] = []
    train_embedder(
        lesions,
        UniformSampler(len(lesions)),
        trunk,
        recipe,
        progress=lambda step, steps, loss: marks.append(time.process_time()),
    )
    return float(np.median(np.diff(marks)[1:]) * 1e3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 256, 512, 1024])
    parser.add_argument("--steps", type=int, default=12)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__)
    print(f"one thread, CPU time, {DEMO.sequences_per_batch} sequences a step, {LESIONS} random lesions")
    print("| width | VGG-16: parameters, ms a step | narrow: parameters, ms a step |\n|---|---|---|")
    rng = np.random.default_rng(0)
    trunks = [Trunk(VGG16), Trunk(NARROW)]
    lesions = [
        CachedLesions(
            [rng.random(shape, np.float32).astype(np.float16) for shape in map_shapes(one, LESIONS)]
        )
        for one in trunks
    ]
    for width in chosen.widths:
        recipe = dataclasses.replace(DEMO, fc_width=width, steps=chosen.steps)
        cells = []
        for one, maps in zip(trunks, lesions, strict=True):
            ms = step_ms(maps, one, recipe)
            cells.append(f"{head_parameters(one, recipe) / 1e6:.1f} M, {ms:.0f}")
            if (one.variant, width) == (NARROW, DEMO.fc_width):
                demo_s = ms * DEMO.steps / 1e3
        print(f"| {width} | {' | '.join(cells)} |", flush=True)
    if DEMO.fc_width in chosen.widths:
        print(f"`demo` (narrow, width {DEMO.fc_width}): {DEMO.steps} steps {demo_s:.0f} s of CPU time")


if __name__ == "__main__":
    main()
