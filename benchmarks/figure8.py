"""Fig. 8 feature beside feature: area of the matching curve, and the differences by patient.

    python benchmarks/figure8.py -w W --truth truth.csv [--trunk vgg16 narrow] [--vgg16 FILE]

On the workspace's test patients: Algorithm 1 with the paper's T_1 = 0.1 and with T_1 chosen on the validation
patients, and exclusive linkage, each on one feature alone. Differences are the workspace's (or the packaged)
embedding less the other feature, on the same resamples of patients. Not a goal: which matcher and cues are
best, which matchers.py asks.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import numpy as np

from lesiongraph.embedding import TrunkLike, initial_from_maps, pooled_maps
from lesiongraph.evaluation import LimitCurve, limit_curve
from lesiongraph.pipeline.matchers import ALGORITHM_1, choose_on, runner, usual_limits
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.recipe import ImagingRecipe, MatchingRecipe
from lesiongraph.workspace import RunReport, Workspace
from matchers import Part, area, choose_t1, interval, read_parts, together
from provenance import print_header
from trunks import open_trunks

APPEARANCE = ("appearance",)
WAYS = ("Algorithm 1, T1 = 0.1", "Algorithm 1, T1 chosen", "exclusive linkage")
OURS = "embedding"


def located(part: Part) -> Part:
    """Leave out marks without a location, so that every feature is judged on the same ones."""
    known = np.isfinite(part.vectors.lesions[["x", "y", "z"]].to_numpy(float)).all(axis=1)
    print(f"{int((~known).sum())} marks without a location left out")
    return part.take(known)


def with_matrix(part: Part, matrix: np.ndarray) -> Part:
    """The same lesions with other vectors."""
    return Part(dataclasses.replace(part.vectors, matrix=matrix), part.truth)


def of_location(part: Part) -> Part:
    """Relative body location as the feature (Fig. 8: "location feature")."""
    return with_matrix(part, part.vectors.lesions[["x", "y", "z"]].to_numpy(np.float32))


def of_trunk(workspace: Workspace, part: Part, trunk: TrunkLike) -> Part:
    """The initial feature of another trunk."""
    with workspace.lock():
        store = ensure_patches(workspace, ImagingRecipe(), RunReport("figure8"))
    patches = [store[lesion_id] for lesion_id in part.vectors.lesions.lesion_id]
    return with_matrix(part, initial_from_maps(pooled_maps(patches, trunk)))


def curves(validation: Part, test: Part) -> dict[str, LimitCurve]:
    """Draw the test patients' curve by each way of matching."""
    by_distance = runner(ALGORITHM_1, test.vectors, APPEARANCE, None)
    limits = usual_limits(together(validation, test), "exclusive", APPEARANCE)
    linkage, weights = choose_on(validation.vectors, validation.truth, "exclusive", APPEARANCE, limits)
    by_linkage = runner("exclusive", test.vectors, APPEARANCE, weights)
    runs = (
        (by_distance, MatchingRecipe().t1),
        (by_distance, choose_t1(validation, test).merge_limit),
        (by_linkage, linkage.merge_limit),
    )
    return {
        way: limit_curve(run, test.patients, test.truth, merge_limit)
        for way, (run, merge_limit) in zip(WAYS, runs, strict=True)
    }


def cell(curve: LimitCurve, ours: LimitCurve) -> str:
    """Area, and ours less it, with intervals over patients."""
    own = interval(curve, lambda rows: area(curve, rows))
    less = "–" if curve is ours else interval(curve, lambda rows: area(ours, rows) - area(curve, rows), "+")
    return f"{own} | {less}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--trunk", nargs="*", default=["narrow"])
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights file")
    options = parser.parse_args()
    print_header(numpy=np.__version__)
    if options.workspace is None or options.truth is None:
        print("skipped: give -w WORKSPACE and --truth CSV")
        sys.exit(0)
    workspace = Workspace(options.workspace)
    validation, test = (located(part) for part in read_parts(workspace, options.truth, OURS))
    drawn = {OURS: curves(validation, test)}
    for name, trunk in open_trunks(options.trunk, options.vgg16).items():
        parts = [of_trunk(workspace, part, trunk) for part in (validation, test)]
        drawn[f"initial feature, {name}"] = curves(*parts)
    drawn["location"] = curves(of_location(validation), of_location(test))
    print("| feature | " + " | ".join(f"{way} | ours less it" for way in WAYS) + " |")
    print("|---" * (1 + 2 * len(WAYS)) + "|")
    for name, by_way in drawn.items():
        cells = [cell(by_way[way], drawn[OURS][way]) for way in WAYS]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
