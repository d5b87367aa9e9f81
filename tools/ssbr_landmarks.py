"""Where the landmarks lie in the real volumes: read by eye (`ssbr_landmarks.csv`), and from structures.

One reader read every slice index twice, the second time from shuffled strips with the slice numbers hidden
and the window shifted by chance. Ends that the scan cuts are absent.

python tools/ssbr_landmarks.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pydicom
from numpy.typing import NDArray

from lesiongraph.mining import MiningResult, mine_sources
from lesiongraph.mining.dicom_scan import DicomArchive

TABLE = Path(__file__).with_suffix(".csv")
COLUMNS = ["volume", "landmark", "slice_index", "source", "certainty", "note"]
READINGS = ["first_reading", "second_reading"]  # slice indices; empty where not read by eye
BY_EYE = "by eye"

# From head to foot. "First" and "last" slice count from the head; "either side": the first of the two.
# Partial volume: a slice counts where the thing is at least half as bright (or dark) as on the next.
LANDMARKS = {
    "C1 arch": "slice with the whole ring of the atlas",
    "hyoid": "slice with the arc of the hyoid's body in front of the airway",
    "lung apex": "first slice with lung, either side",
    "aortic arch top": "first slice of the arch itself: longer than the left subclavian artery is wide",
    "carina": "first slice with two lumina: tissue between the right and the left main bronchus",
    "pulmonary bifurcation": "first slice where the right pulmonary artery is joined to the trunk",
    "liver dome": "first slice with liver under the right diaphragm, window [-175, 275]",
    "coeliac trunk": "slice where the root of the coeliac trunk leaves the front of the aorta",
    "lung base": "last slice with lung, either side",
    "kidney hilum left": "slice where the renal vein leaves; no vein seen: middle of the open sinus",
    "kidney hilum right": "as on the left",
    "kidney lower pole": "last slice with kidney, whichever side is lower",
    "iliac crest": "first slice with iliac bone, either side",
    "sacral promontory": "first slice where the disc L5/S1 lies on the body of S1 and its wings",
    "femoral head top": "first slice with femoral head, either side",
    "pubic symphysis top": "first slice where the pubic bodies reach the midline",
    "ischial tuberosity": "last slice with ischium, either side",
}
# What may come in any order in one patient; every group comes after the groups before it.
GROUPS: tuple[tuple[str, ...], ...] = (
    ("C1 arch",),
    ("hyoid",),
    ("lung apex",),
    ("aortic arch top",),
    ("carina",),
    ("pulmonary bifurcation",),
    ("liver dome",),
    ("coeliac trunk", "lung base", "kidney hilum left", "kidney hilum right"),
    ("kidney lower pole", "iliac crest"),
    ("sacral promontory",),
    ("femoral head top",),
    ("pubic symphysis top",),
    ("ischial tuberosity",),
)
# Organ names of structures and masks -> which end of the organ is which landmark.
ENDS = (
    (re.compile(r"lung", re.I), "top_index", "lung apex"),
    (re.compile(r"lung", re.I), "bottom_index", "lung base"),
    (re.compile(r"^liver$", re.I), "top_index", "liver dome"),
)


def read_landmarks(table: Path = TABLE) -> pd.DataFrame:
    """Read the landmarks of the real volumes, one row a volume, landmark and source.

    Returns
    -------
    DataFrame
        `slice_index` counts from the head (0) in the whole series, mean of two readings where read by eye;
        `certainty` 3: sure to about one slice, 2: to two, 1: to three or more, the reason in `note`.

    Raises
    ------
    ValueError
        If a column, landmark or certainty is not one of those defined here, or a row comes twice.
    """
    rows = pd.read_csv(table, keep_default_na=False, na_values={c: [""] for c in READINGS})
    if list(rows.columns) != COLUMNS + READINGS:
        raise ValueError(f"{table}: expected the columns {COLUMNS + READINGS}, got {list(rows.columns)}")
    unknown = sorted({*rows.landmark} - {*LANDMARKS})
    if unknown:
        raise ValueError(f"{table}: unknown landmarks {unknown}; expected some of {sorted(LANDMARKS)}")
    if not rows.certainty.isin([1, 2, 3]).all():
        raise ValueError(f"{table}: certainty must be 1, 2 or 3, got {sorted(set(rows.certainty))}")
    twice = rows[rows.duplicated(["volume", "landmark", "source"])]
    if len(twice):
        raise ValueError(f"{table}: more than one row for {twice[['volume', 'landmark']].values.tolist()}")
    return rows


def landmarks_from_structures(data: Path) -> pd.DataFrame:
    """Find landmarks as the ends of organs in RTSTRUCT and SEG (the catalogue's table) and in DICOM masks.

    Returns
    -------
    DataFrame
        volume, landmark, slice_index, source. An organ that reaches the scan's end gives no landmark there.
    """
    folders = _dicom_folders(data)
    mined = mine_sources(folders)
    volumes = _volumes(mined, folders)
    last = mined.series.set_index("series_instance_uid").slices - 1
    rows = []
    for organ in mined.landmarks.to_dict("records"):
        uid = organ["series_instance_uid"]
        source = (
            f"{pydicom.dcmread(organ['source_path'], specific_tags=['Modality']).Modality}:{organ['name']}"
        )
        rows += _ends(organ, last[uid], volumes[uid], source)
    for folder in folders:
        for organ in _masks(folder):
            rows += _ends(organ, organ["slices"] - 1, folder.name, f"mask:{organ['name']}")
    found = pd.DataFrame(rows, columns=[*COLUMNS[:4], "nearness"])
    first = found.sort_values(["volume", "landmark", "nearness", "source"], kind="stable")
    return first.drop_duplicates(["volume", "landmark"]).drop(columns="nearness").reset_index(drop=True)


def slice_positions_mm(data: Path) -> dict[str, NDArray[np.float64]]:
    """Return the position of every slice of every real CT series, mm from head to foot, by volume name."""
    found = {}
    for path in sorted((data / "volumes").glob("*.nii.gz")) + sorted((data / "sts").glob("*/ct.nii.gz")):
        name = path.parent.name if path.name == "ct.nii.gz" else path.name.removesuffix(".nii.gz")
        image = nib.as_closest_canonical(nib.load(path))
        found[name] = np.arange(image.shape[2]) * float(image.header.get_zooms()[2])
    folders = _dicom_folders(data)
    mined = mine_sources(folders)
    for uid, name in _volumes(mined, folders).items():
        slices = mined.slices[mined.slices.series_instance_uid == uid].sort_values("slice_index")
        found[name] = slices.position_mm.to_numpy(dtype=float)
    return found


def with_positions(rows: pd.DataFrame, positions_mm: dict[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Add `position_mm` of the slice and `apart_mm`, how far the second reading lies below the first."""
    rows = rows.copy()
    for target, source in (
        ("position_mm", "slice_index"),
        ("first", "first_reading"),
        ("second", "second_reading"),
    ):
        rows[target] = [
            np.interp(index, np.arange(len(positions_mm[volume])), positions_mm[volume])
            for volume, index in zip(rows.volume, rows[source], strict=True)
        ]
    return rows.assign(apart_mm=rows.second - rows["first"]).drop(columns=["first", "second"])


def _dicom_folders(data: Path) -> list[Path]:
    return sorted(folder for folder in (data / "dicom").iterdir() if folder.is_dir())


def _volumes(mined: MiningResult, folders: list[Path]) -> dict[str, str]:
    """Return series UID -> name of the folder below dicom/ that holds it."""
    paths = mined.slices.groupby("series_instance_uid").path.first()
    of_folder = {folder.resolve(): folder.name for folder in folders}
    return {
        str(uid): next(of_folder[p] for p in Path(path).resolve().parents if p in of_folder)
        for uid, path in paths.items()
    }


def _ends(organ: dict[str, Any], last: int, volume: str, source: str) -> list[list[object]]:
    rows: list[list[object]] = []
    for pattern, end, landmark in ENDS:
        index = float(organ[end])
        if pattern.search(str(organ["name"])) and 0 < index < last:
            rows.append([volume, landmark, index, source, index if end == "top_index" else -index])
    return rows


def _masks(folder: Path) -> list[dict[str, Any]]:
    """Return the extent of each mask of annotations/MASKS_DICOM; instance numbers pair it with the CT."""
    root = folder / "annotations" / "MASKS_DICOM"
    if not root.is_dir():
        return []
    (series,) = DicomArchive.scan(folder).series.values()
    index = {image.instance_number: image.slice_index for image in series.images}
    organs: list[dict[str, Any]] = []
    for mask in sorted(path for path in root.iterdir() if path.is_dir()):
        (drawn,) = DicomArchive.scan(mask, masks=True).series.values()
        inside = [
            index[image.instance_number]
            for image in drawn.images
            if pydicom.dcmread(image.path).pixel_array.any()
        ]
        organs.append(
            {
                "name": mask.name,
                "top_index": min(inside),
                "bottom_index": max(inside),
                "slices": len(series.images),
            }
        )
    return organs


def main() -> None:
    """Print the repeatability of the readings and how they agree with the structures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    positions_mm = slice_positions_mm(arguments.data)
    rows = with_positions(read_landmarks(), positions_mm)
    eye = rows[rows.source == BY_EYE]
    print(f"{len(rows)} rows, {len(eye)} by eye, {rows.volume.nunique()} volumes; two readings, mm apart:")
    for name in [*LANDMARKS, "all"]:
        apart = eye.apart_mm[(eye.landmark == name) | (name == "all")].abs()
        if len(apart):
            print(
                f"  {name:22} n {len(apart):3}  mean {apart.mean():.1f}  max {apart.max():.1f}"
                f"  same slice {int((apart == 0).sum())}"
            )
    found = landmarks_from_structures(arguments.data)
    print("structure against eye:")
    for one in found.to_dict("records"):
        seen = eye[(eye.volume == one["volume"]) & (eye.landmark == one["landmark"])]
        place = positions_mm[one["volume"]][int(one["slice_index"])]
        apart_mm = [f"{value - place:+.1f} mm" for value in seen.position_mm]
        print(f"  {one['volume']} {one['landmark']} {one['slice_index']:g} ({one['source']}); eye {apart_mm}")


if __name__ == "__main__":
    main()
