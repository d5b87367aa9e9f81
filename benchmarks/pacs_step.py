"""How many slices must be fetched of a PACS for SSBR: z of lesions from sparser series against every 8 mm.

    python benchmarks/pacs_step.py FOLDER [--out results.json]

FOLDER holds DICOM with marks (a phantom hospital, say). It is mined and located as it is; then again with the
pixels of all slices taken away that a PACS would not be asked for at each step. Printed for each step: share
of slices fetched, and how far z moves (mm of the body, taken as 1.0 of z = `BODY_MM`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.lesion import KEPT
from lesiongraph.pipeline.catalogue import TABLES, Catalogue, read_catalogue, read_locations
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import slices_to_fetch
from lesiongraph.workspace import Workspace

STEPS_MM = (8.0, 12.0, 16.0, 20.0, 24.0, 32.0, 48.0, 64.0, 10_000.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = measure(options.folder, Path(scratch))
    print(pd.DataFrame(rows).to_string(index=False))
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1) + "\n")


def measure(folder: Path, scratch: Path) -> list[dict[str, float]]:
    """Return one line a step."""
    full = Workspace(scratch / "full")
    mine(full, [folder])
    catalogue = read_catalogue(full)
    truth = located(full)
    rows = []
    for step_mm in STEPS_MM:
        sparse = scratch / f"step-{step_mm:g}"
        shutil.copytree(full.path, sparse)
        workspace = Workspace(sparse)
        share = take_away(workspace, catalogue, step_mm)
        found = located(workspace).loc[truth.index]
        moved = (found.z - truth.z).abs()
        shift = np.abs(found.z - truth.z) / truth.z_sd
        rows.append(
            {
                "step_mm": step_mm,
                "slices_fetched": round(share, 3),
                "z_moved_median": round(float(moved.median()), 4),
                "z_moved_95": round(float(moved.quantile(0.95)), 4),
                "z_moved_worst": round(float(moved.max()), 4),
                "of_z_sd_median": round(float(shift.median()), 2),
                "of_z_sd_95": round(float(shift.quantile(0.95)), 2),
                "z_sd_median": round(float(found.z_sd.median()), 4),
                "lesions": len(moved),
                "without_z": int(found.z.isna().sum()),
                "flagged": int((found.flag != "").sum()),
            }
        )
    return rows


def take_away(workspace: Workspace, catalogue: Catalogue, step_mm: float) -> float:
    """Take away the pixels that a PACS would not be asked for; return the share of slices that stays."""
    wanted = slices_to_fetch(step_mm)
    kept = catalogue.lesions[(catalogue.lesions.status == KEPT) & (catalogue.lesions.slice_index >= 0)]
    rows = catalogue.series.set_index("series_instance_uid", drop=False)
    everything = catalogue.slices.whole()
    here = pd.Series(False, index=everything.index)
    for uid, marks in kept.groupby("series_instance_uid"):
        slices = everything[everything.series_instance_uid == uid]
        chosen = set(wanted(rows.loc[uid].to_dict(), slices, marks))
        here[slices.index[slices.slice_index.isin(chosen)]] = True
    sparse = everything.assign(path=everything.path.where(here, ""))
    with workspace.lock(), workspace.write("catalogue", f"step{step_mm:g}") as folder:
        for name, schema in TABLES.items():
            folder.write_table(name, sparse if name == "slices" else getattr(catalogue, name), schema)
    return float(here.mean())


def located(workspace: Workspace) -> pd.DataFrame:
    """Locate, and return the lesions that have a z, by id."""
    locate(workspace)
    found = read_locations(workspace).set_index("lesion_id")
    return found[found.z.notna()]


if __name__ == "__main__":
    main()
