"""How well the initial features of small trunks retrieve beside full VGG-16's: type error and agreement.

    python benchmarks/trunks.py -w WORKSPACE [--split test] [--trunk compact FILE.pt2 …] [--pool roi_align]
    python benchmarks/trunks.py [--data DIR]

With a workspace (mined; a phantom hospital, an implanted cohort, DeepLesion): the typed lesions of a
split. Without: the real marks with images of `deeplesion_mini` and `deeplesion`. VGG-16 needs --vgg16 or
LESIONGRAPH_VGG16_WEIGHTS; without it the others are printed alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from initial_feature import read_lesions
from lesiongraph.embedding import (
    POOLS,
    VGG16,
    WEIGHTS_ENV,
    Trunk,
    TrunkLike,
    initial_from_maps,
    is_external,
    load_external,
    load_trunk,
    pooled_maps,
)
from lesiongraph.embedding.batching import PatchLike
from lesiongraph.evaluation import patient_bootstrap, retrieve, type_retrieval_error
from lesiongraph.pipeline.catalogue import kept_lesions
from lesiongraph.pipeline.evaluate import scored_rows
from lesiongraph.pipeline.patches import ensure_patches
from lesiongraph.recipe import ImagingRecipe
from lesiongraph.workspace import RunReport, Workspace
from provenance import add_data_argument, print_header, skip_without

K = 5
SIDE_PX = 150  # multiply-adds are stated for a patch of this side


@dataclass(frozen=True)
class Scored:
    """Lesions that are queries and gallery: patches, types, patients."""

    name: str
    patches: Iterable[PatchLike]
    types: NDArray[np.str_]
    patients: NDArray[np.str_]


def of_workspace(path: Path, split: str) -> Scored:
    """Read the typed lesions of a split, cutting patches where that is not done."""
    workspace = Workspace(path)
    with workspace.lock():
        store = ensure_patches(workspace, ImagingRecipe(), RunReport("trunks"))
    lesions = kept_lesions(workspace).set_index("lesion_id", drop=False).loc[list(store.lesion_ids)]
    rows = scored_rows(lesions, split)
    chosen = lesions.iloc[rows]
    patches = [store[lesion_id] for lesion_id in chosen.lesion_id]
    return Scored(
        f"{path.name}, {split}", patches, chosen.type.to_numpy(str), chosen.patient_id.to_numpy(str)
    )


def of_real_marks(data: Path) -> Scored:
    """Read the real marks that have an image and a type."""
    skip_without(data / "deeplesion_mini" / "DL_info.csv", data / "deeplesion" / "DL_info.csv")
    lesions = read_lesions([data / "deeplesion_mini", data / "deeplesion"])
    return Scored("real marks", lesions.patches, lesions.types, lesions.patients)


def open_trunks(names: list[str], vgg16: Path | None) -> dict[str, TrunkLike]:
    """Load the trunks; VGG-16 first, as the others are compared with it."""
    trunks: dict[str, TrunkLike] = {}
    for name in sorted(names, key=lambda name: name != VGG16.name):
        if name == VGG16.name and vgg16 is None and WEIGHTS_ENV not in os.environ:
            print(f"VGG-16 left out: neither --vgg16 nor {WEIGHTS_ENV}")
        elif is_external(name):
            trunks[name] = load_external(name)
        else:
            trunks[name] = load_trunk(name, vgg16 if name == VGG16.name else None)
    return trunks


def type_errors(
    features: NDArray[np.float32], scored: Scored, *, other_patients: bool
) -> NDArray[np.float64]:
    """Type error in percent of each query (N,); NaN where nothing could be retrieved."""
    hits = retrieve(features, K, scored.patients if other_patients else None)
    return 100 * type_retrieval_error(hits, scored.types)


def with_interval(errors: NDArray[np.float64], patients: NDArray[np.str_]) -> str:
    """Mean and the 95 % interval by patient."""
    found = patient_bootstrap(
        lambda rows: float(np.nanmean(errors[rows])), patients, rng=np.random.default_rng(0)
    )
    return f"{found.estimate:.1f} [{found.low:.1f}, {found.high:.1f}]"


def cosines(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of all pairs."""
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


def print_table(trunks: dict[str, TrunkLike], scored: Scored, pool: str) -> None:
    """Print a row a trunk."""
    types, counts = np.unique(scored.types, return_counts=True)
    print(
        f"{scored.name}: {len(scored.types)} lesions of {len(np.unique(scored.patients))} patients; "
        + ", ".join(f"{name} {count}" for name, count in zip(types, counts, strict=True))
    )
    print(
        "| trunk | multiply-adds | type error, top-5 | less VGG-16's | other patients | less VGG-16's "
        "| Spearman |"
    )
    print("|---|---|---|---|---|---|---|")
    reference: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    pairs = None
    for name, trunk in trunks.items():
        # from the 5 × 5 grid, as the pipeline makes it
        features = initial_from_maps(pooled_maps(scored.patches, trunk, pool=pool))
        errors = [type_errors(features, scored, other_patients=other) for other in (False, True)]
        if name == VGG16.name:
            reference, pairs = (errors[0], errors[1]), cosines(features)
        cells = []
        for which, error in enumerate(errors):
            cells.append(with_interval(error, scored.patients))
            less = "–" if reference is None else with_interval(error - reference[which], scored.patients)
            cells.append(less)
        rank = "–" if pairs is None else f"{spearmanr(cosines(features), pairs).statistic:.3f}"
        print(f"| {name} | {_multiply_adds(trunk)} | {' | '.join(cells)} | {rank} |", flush=True)


def _multiply_adds(trunk: TrunkLike) -> str:
    if not isinstance(trunk, Trunk):
        return "–"
    ours, full = (one.multiply_adds(SIDE_PX, SIDE_PX) for one in (trunk.variant, VGG16))
    return f"{ours / 1e9:.2f} G (1/{full / ours:.1f})"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--split", default="test")
    parser.add_argument("--trunk", nargs="+", default=["vgg16", "compact", "narrow"])
    parser.add_argument("--pool", choices=list(POOLS), default="roi_pool")
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights file")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__)
    scored = of_workspace(chosen.workspace, chosen.split) if chosen.workspace else of_real_marks(chosen.data)
    print_table(open_trunks(chosen.trunk, chosen.vgg16), scored, chosen.pool)


if __name__ == "__main__":
    main()
