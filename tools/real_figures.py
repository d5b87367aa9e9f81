"""Print the figures of docs/real-data.md from a workspace that `make real` made.

Usage: python tools/real_figures.py DATA OUT
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.imaging import plain_from_stated_xy
from lesiongraph.workspace import Workspace

BIN = Path(sys.executable).parent
REFERENCE_ROW = {"type_are": 25.2, "location_are": 2.67, "size_are": 9.3, "purity": 67.6, "nmi": 38.7}


def main(data: Path, out: Path) -> None:
    """Print everything as Markdown."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"Commit {commit}, Python {platform.python_version()}, {platform.machine()}, 2 cores.\n")
    lesions = pd.read_csv(out / "catalogue.csv", dtype={"patient_id": str}, low_memory=False)
    _marks(lesions)
    _official_rows(data, out)
    _landmarks(out)
    _stated_locations(lesions)
    _merge(out)
    _mini_pairs(data, out)
    _location_row(data, out)


def _marks(lesions: pd.DataFrame) -> None:
    print("## Marks per source\n")
    _table(lesions.groupby(["source", "status"]).size().unstack(fill_value=0).reset_index())
    rejected = lesions[lesions.status == "rejected"]
    _table(rejected.groupby(["source", "reason"]).size().rename("marks").reset_index())


def _table(rows: pd.DataFrame) -> None:
    print("| " + " | ".join(map(str, rows.columns)) + " |")
    print("|" + "---|" * len(rows.columns))
    for row in rows.itertuples(index=False):
        print("| " + " | ".join(map(str, row)) + " |")
    print()


def _official_rows(data: Path, out: Path) -> None:
    """Worst difference of our boxes and diameters from the official ones: 6 rows with images, 158 without."""
    print("## Official DL_info rows\n")
    for name, rows in (("with images", "DL_info.csv"), ("without images", "DL_info_sample_158_rows.csv")):
        release = out / f"release-{name.replace(' ', '-')}"
        release.mkdir(exist_ok=True)
        table = data / "deeplesion" / rows
        shutil.copy(table, release / "DL_info.csv")
        ours = _mined(release, out / f"workspace-{name.replace(' ', '-')}")
        official = pd.read_csv(table)
        ids = official.File_name.str.removesuffix(".png")
        ids = ids + "_" + (official.groupby("File_name").cumcount() + 1).astype(str)
        ours = ours.set_index("lesion_id").loc[ids]
        boxes = np.array([[float(v) for v in text.split(",")] for text in official.Bounding_boxes])
        lengths = np.array([[float(v) for v in text.split(",")] for text in official.Lesion_diameters_Pixel_])
        box_off = np.abs(ours[["x0", "y0", "x1", "y1"]].to_numpy() + 1 - boxes).max()  # ours count from 0
        length_off = np.abs(ours[["long_px", "short_px"]].to_numpy() - lengths).max()
        print(
            f"- {len(official)} rows {name}: worst box coordinate {box_off:.4f} px, "
            f"worst diameter {length_off:.4f} px from the official one"
        )
    print()


def _mined(source: Path, workspace: Path) -> pd.DataFrame:
    shutil.rmtree(workspace, ignore_errors=True)
    _run("mine", str(source), "-w", str(workspace))
    _run("catalogue", "-w", str(workspace), "--csv", str(workspace / "catalogue.csv"))
    return pd.read_csv(workspace / "catalogue.csv", low_memory=False)


def _landmarks(out: Path) -> None:
    """z of the organs that structure sets name."""
    workspace = Workspace(out / "workspace")
    rows = workspace.open("locations", "locate").read_table("landmarks")
    print("## z of named organs (top, bottom), one row a structure\n")
    _table(rows[["name", "z_top", "z_bottom"]].round(3).sort_values("z_top"))


def _stated_locations(lesions: pd.DataFrame) -> None:
    print("## Our (x, y, z) against the stated ones, where images are\n")
    both = lesions[lesions.x.notna() & lesions.x_stated.notna()]
    stated = both[["x_stated", "y_stated"]].to_numpy()
    plain = np.array([plain_from_stated_xy((x, y)) for x, y in stated])
    for axis in "xyz":
        _difference(f"{axis}, as stated", (both[axis] - both[f"{axis}_stated"]).to_numpy())
    for i, axis in enumerate("xy"):
        _difference(f"{axis}, the authors' rescaling undone", both[axis].to_numpy() - plain[:, i])
    print()


def _difference(name: str, off: np.ndarray) -> None:
    print(
        f"- {name}: n = {len(off)}, median |difference| {np.median(np.abs(off)):.3f}, "
        f"90th percentile {np.percentile(np.abs(off), 90):.3f}, median difference {np.median(off):+.3f}"
    )


def _merge(out: Path) -> None:
    """Whether the two kernels of Lung_Dx-A0001 merge under T1, and at what distance."""
    print("## Two kernels of one study (Lung_Dx-A0001)\n")
    rows = pd.read_csv(out / "matches.csv")
    own = rows[rows.patient == "Lung_Dx-A0001"]
    ids = own.lesion.tolist()
    result = _run(
        "search", ids[0], "-w", str(out / "workspace"), "--feature", "initial", "-k", "40", "--json"
    )
    hits = pd.DataFrame(json.loads(result)["hits"])
    found = hits[hits.lesion == ids[1]].iloc[0]
    merged = own.group.nunique() == 1
    print(
        f"- distance {found.distance:.3f} (initial feature), rank {found['rank']} of {len(hits)}; "
        f"merged at T1 = 0.1: {'yes' if merged else 'no'}\n"
    )


def _mini_pairs(data: Path, out: Path) -> None:
    """How many of deeplesion_mini's true pairs `match` puts into one group, without any training."""
    print("## The same lesion across studies (deeplesion_mini, initial feature, no training)\n")
    workspace = out / "workspace-mini"
    _mined(data / "deeplesion_mini", workspace)
    for verb in ("locate", "embed"):
        _run(verb, "-w", str(workspace))
    _run("match", "-w", str(workspace), "--feature", "initial", "--csv", str(out / "mini.csv"))
    rows = pd.read_csv(out / "mini.csv", dtype=str)
    rows["key"] = rows.patient + "/" + rows.group
    groups = rows.groupby("lesion").key.first()
    pairs = pd.read_csv(data / "deeplesion_mini" / "true_pairs.csv")
    on_slice = {name: set(groups[groups.index.str.startswith(name + "_")]) for name in {*pairs.a, *pairs.b}}
    found = sum(bool(on_slice[a] & on_slice[b]) for a, b in zip(pairs.a, pairs.b, strict=True))
    sizes = groups.value_counts()
    print(
        f"- {found} of {len(pairs)} known pairs of slices share a group; {len(groups)} lesions in "
        f"{len(sizes)} groups, {int((sizes > 1).sum())} of them of two lesions or more\n"
    )


def _location_row(data: Path, out: Path) -> None:
    print("## The location feature's row on deeplesion_metadata_val\n")
    workspace = out / "workspace-metadata"
    _mined(data / "deeplesion_metadata_val", workspace)
    path = workspace / "row.json"
    _run("evaluate", "-w", str(workspace), "--feature", "location", "--split", "val", "--json", str(path))
    row = json.loads(path.read_text())
    print(f"n = {row['n']}, k = {row['k']}\n")
    print("| | ours | independent |\n|---|---|---|")
    for key, reference in REFERENCE_ROW.items():
        print(f"| {key} | {row[key]:.2f} | {reference} |")
    print()


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [str(BIN / "lesiongraph"), *arguments], check=True, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
