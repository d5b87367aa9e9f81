"""Patches → pooled maps and the initial feature of every lesion, computed once a trunk (Sec. 4.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesiongraph.embedding import (
    TrunkLike,
    initial_from_maps,
    is_external,
    load_external,
    load_trunk,
    map_shapes,
    pooled_maps,
)
from lesiongraph.errors import UsageError
from lesiongraph.imaging import PatchStore
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.workspace import RunReport, StageFolder, Workspace, fingerprint


@dataclass(frozen=True)
class Features:
    """Row i of every array belongs to `lesion_ids[i]`, which is also the order of the patch store."""

    lesion_ids: list[str]
    initial: np.ndarray  # (N, ΣC_i) float32
    maps: list[np.ndarray]  # one array (N, C_i, s, s) float16 a scale, memory-mapped


def open_trunk(
    name: str, report: RunReport, *, vgg16: Path | None = None, init: str = "imagenet"
) -> TrunkLike:
    """Return a trunk and say in the report which weights it has.

    Parameters
    ----------
    name : str
        vgg16, compact, narrow, an exported program (FILE.pt2, FILE.pt) or module:function (docs/trunks.md).
    report : RunReport
    vgg16 : path, optional
        VGG-16's weights.
    init : {"imagenet", "scratch"}

    Raises
    ------
    UsageError
        If `init` is neither "imagenet" nor "scratch", or "scratch" is asked of an external trunk.
    WeightsError
        If the weights are absent or damaged: never random weights unasked.
    """
    if init not in ("imagenet", "scratch"):
        raise UsageError(f"--init {init}: expected imagenet or scratch.")
    if is_external(name):
        return _open_external(name, report, init)
    trunk = load_trunk(
        name, vgg16 if name == "vgg16" else None, init="scratch" if init == "scratch" else None
    )
    report.weights.append(
        {"name": f"trunk {name}: {trunk.origin}", "sha256": trunk.sha256 or "none: random weights, as asked"}
    )
    return trunk


def _open_external(name: str, report: RunReport, init: str) -> TrunkLike:
    if init == "scratch":
        raise UsageError(f"--init scratch: {name} is an external trunk and brings its weights.")
    trunk = load_external(name)
    report.weights.append({"name": f"trunk {trunk.variant.name}: {trunk.origin}", "sha256": trunk.sha256})
    return trunk


def ensure_features(
    workspace: Workspace,
    patches: PatchStore,
    trunk: TrunkLike,
    roi_size: int,
    progress: Progress = silent,
    *,
    pool: str = "roi_pool",
) -> Features:
    """Return pooled maps and initial features, computing them where patches or trunk are new."""
    key = fingerprint(workspace.key("patches"), trunk.sha256 or "scratch", trunk.variant.name, roi_size, pool)
    if not workspace.is_current("initial", key):
        with workspace.write("initial", key) as folder:
            out = [
                folder.create_array(f"map{i}", shape, np.float16)
                for i, shape in enumerate(map_shapes(trunk, len(patches), roi_size))
            ]
            pooled_maps(
                (patches[lesion_id] for lesion_id in patches.lesion_ids),
                trunk,
                out=out,
                roi_size=roi_size,
                pool=pool,
                progress=lambda done, _total: progress("trunk features", done, len(patches)),
            )
            vectors = initial_from_maps(out)
            origin = {
                "trunk": trunk.variant.name,
                "trunk_sha256": trunk.sha256,
                "dimensions": vectors.shape[1],
            }
            write_vectors(workspace, folder, list(patches.lesion_ids), vectors, origin)
    folder = workspace.open("initial", "embed")
    return Features(
        lesion_ids=list(folder.read_table("ids").lesion_id),
        initial=np.asarray(folder.read_array("vectors")),
        maps=[folder.read_array(f"map{i}") for i in range(len(trunk.variant.scales))],
    )


def write_vectors(
    workspace: Workspace,
    folder: StageFolder,
    lesion_ids: list[str],
    vectors: np.ndarray,
    origin: dict[str, Any],
) -> None:
    """Write vectors (N, D) with the lesions they belong to and what they were made from."""
    folder.write_table("ids", pd.DataFrame({"lesion_id": lesion_ids}))
    folder.write_array("vectors", vectors)
    folder.write_json("origin", {"catalogue": workspace.key("catalogue"), **origin})
