"""A DeepLesion release → catalogue tables, with or without its images.

`DL_info.csv` is the release's table: 1-based coordinates, diameters in pixels, a z spacing that is an
interval. `Images_png/<series>/<slice>.png` holds uint16 values, HU + 32768, ±30 mm round each key slice
only: a series may be disjoint pieces, whose gaps `position_mm` tells. The slice number grows head → foot.
"""

from __future__ import annotations

import csv
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from lesiongraph.errors import SourceNotFoundError, TableSchemaError
from lesiongraph.lesion import KEPT, LESION_TYPES, LESIONS, REJECTED, SERIES, SLICES, conform
from lesiongraph.mining import rules
from lesiongraph.mining.deeplesion_images import eight_bit_flag, list_slices, open_png, png_header
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND
from lesiongraph.mining.marks import BOX_PADDING_PX
from lesiongraph.mining.result import MiningResult

__all__ = ["mine_deeplesion", "open_png"]

TABLE_NAME = "DL_info.csv"
IMAGES_NAME = "Images_png"
BOX_TOLERANCE_PX = 0.05  # ours: the official table rounds to 6 digits; its boxes agree within 0.0003 px
SIZE_MAX_PX = 65535  # DICOM holds rows and columns in 16 bits
COLUMNS_MAX = 1000  # ours: the release has 18
FOUND_MAX = 500  # characters of an error that come from the table
INTERVAL_MAX_MM = 30.0  # ours: no CT is read at a larger interval; such a value is wrong
_ESSENTIAL = ("File_name", "Measurement_coordinates", "Spacing_mm_px_", "Image_size")
_OPTIONAL = (
    "Bounding_boxes",
    "Lesion_diameters_Pixel_",
    "Normalized_lesion_location",
    "Coarse_lesion_type",
    "Possibly_noisy",
    "DICOM_windows",
    "Patient_gender",
    "Patient_age",
    "Train_Val_Test",
)
_SPLITS = {1.0: "train", 2.0: "val", 3.0: "test"}
_FILE_NAME = r"^((\d{6})_(\d{2}))_(\d{2})_(\d{1,6})\.png$"
_AXES = ("long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y0", "short_x1", "short_y1")


def mine_deeplesion(folder: Path) -> MiningResult:
    """Read a DeepLesion release: each row of DL_info.csv becomes a kept or a rejected row.

    Parameters
    ----------
    folder : Path
        Holds DL_info.csv, and Images_png where the images were released too.

    Raises
    ------
    SourceNotFoundError
        If DL_info.csv is not there.
    TableSchemaError
        If the table cannot be read or lacks an essential column.

    Source: paper Sec. 3 (box = tight around both diameters + 5 px); DeepLesion's own table.
    """
    table_path = Path(folder).absolute() / TABLE_NAME
    table, absent = _read_table(table_path)
    counts: Counter[str] = Counter({f"column absent: {name}": 1 for name in absent})
    lesions = _read_rows(table, table_path)
    slices = list_slices(table_path.parent / IMAGES_NAME, set(lesions["series_instance_uid"]), counts)
    headers = _attach_images(lesions, slices)
    _judge(lesions, table, headers, with_images=not slices.empty)
    series = _series_table(lesions, slices, table, headers)
    slices["position_mm"] = slices["_number"] * slices["series_instance_uid"].map(
        series.set_index("series_instance_uid")["slice_interval_mm"]
    )
    counts["DeepLesion rows"] += len(lesions)
    return MiningResult(
        lesions=_publish(lesions, LESIONS),
        series=_publish(series, SERIES),
        slices=_publish(slices, SLICES),
        counts=counts,
    )


def _publish(frame: pd.DataFrame, schema: dict[str, str]) -> pd.DataFrame:
    """Drop the working columns (leading underscore) and conform."""
    return conform(frame[[name for name in frame.columns if not name.startswith("_")]], schema)


def _read_table(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Return the table as text, with absent optional columns empty, and the names of those."""
    if not path.is_file():
        raise SourceNotFoundError(path, "the table of a DeepLesion release")
    _check_width(path)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:  # pandas' parser errors are ValueErrors
        raise TableSchemaError(path, "a comma-separated table in UTF-8", str(error)) from error
    table.columns = table.columns.str.strip()
    missing = [name for name in _ESSENTIAL if name not in table.columns]
    if missing:
        found = f"columns {', '.join(table.columns)}"[:FOUND_MAX]
        raise TableSchemaError(path, f"DeepLesion's columns {', '.join(missing)}", found)
    absent = [name for name in _OPTIONAL if name not in table.columns]
    return table.assign(**dict.fromkeys(absent, "")), absent


def _check_width(path: Path) -> None:
    """Check that the first row is no longer than the header: pandas would take the surplus for row names.

    Raises
    ------
    TableSchemaError
        If it is, or the header has more than COLUMNS_MAX columns.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            widths = [len(row) for row in islice(filter(None, csv.reader(handle)), 2)]
    except (csv.Error, ValueError) as error:  # encoding errors are ValueErrors
        raise TableSchemaError(path, "a comma-separated table in UTF-8", str(error)) from error
    if widths and widths[0] > COLUMNS_MAX:
        raise TableSchemaError(path, f"at most {COLUMNS_MAX} columns", f"{widths[0]}")
    if len(widths) == 2 and widths[1] > widths[0]:
        raise TableSchemaError(path, f"rows of {widths[0]} fields, as the header's", f"one of {widths[1]}")


def _numbers(texts: pd.Series, count: int) -> np.ndarray:  # (N, count)
    """Parse "1.5, 2, …" into exactly `count` numbers a row; a row of another length is all NaN."""
    values = np.full((len(texts), count), np.nan)
    parts = texts.str.split(",")
    right = (parts.str.len() == count).to_numpy()
    if right.any():
        cells = np.array(parts[right].tolist(), dtype=object)
        for j in range(count):
            values[right, j] = pd.to_numeric(pd.Series(cells[:, j]).str.strip(), errors="coerce")
    values[~np.isfinite(values)] = np.nan
    return values


def _read_rows(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the marks as stated, in array coordinates, before any image is looked at."""
    name = table["File_name"].str.strip()
    parts = name.str.extract(_FILE_NAME)
    known = parts[0].notna()
    stem = name.str.removesuffix(".png")
    axes = _numbers(table["Measurement_coordinates"], 8) - 1.0  # the table counts from 1
    swapped = _lengths(axes[:, 4:]) > _lengths(axes[:, :4]) + 1e-9
    axes[swapped] = axes[swapped][:, [4, 5, 6, 7, 0, 1, 2, 3]]
    spacing = _numbers(table["Spacing_mm_px_"], 3)
    scale = np.where(spacing[:, :2] > 0, spacing[:, :2], np.nan)  # (N, 2): x, y mm
    location = _numbers(table["Normalized_lesion_location"], 3)
    size = _numbers(table["Image_size"], 2)
    size = np.where((size > 0) & (size <= SIZE_MAX_PX), size, -1)
    age = pd.to_numeric(table["Patient_age"], errors="coerce")
    code = pd.to_numeric(table["Coarse_lesion_type"], errors="coerce")
    rows = pd.DataFrame(axes, columns=list(_AXES), index=table.index)
    box = np.c_[axes[:, 0::2].min(1), axes[:, 1::2].min(1), axes[:, 0::2].max(1), axes[:, 1::2].max(1)]
    rows[["x0", "y0", "x1", "y1"]] = box + np.array([-1, -1, 1, 1]) * BOX_PADDING_PX
    rows["long_px"], rows["short_px"] = _lengths(axes[:, :4]), _lengths(axes[:, 4:])
    rows["long_mm"], rows["short_mm"] = _lengths(axes[:, :4], scale), _lengths(axes[:, 4:], scale)
    rows["spacing_x_mm"], rows["spacing_y_mm"] = scale[:, 0], scale[:, 1]
    rows["columns"], rows["rows"] = size[:, 0], size[:, 1]
    rows[["x_stated", "y_stated", "z_stated"]] = location
    return rows.assign(
        lesion_id=stem + "_" + (stem.groupby(stem).cumcount() + 1).astype(str),
        patient_id=parts[1].where(known, ""),
        study_instance_uid=parts[0].where(known, ""),
        series_instance_uid=(parts[0] + "_" + parts[3]).where(known, ""),
        sop_instance_uid=stem.where(known, ""),
        source="DeepLesion",
        source_path=str(path),
        source_item=("row " + pd.Series(np.arange(1, len(table) + 1), index=table.index).astype(str)),
        type=code.map(dict(enumerate(LESION_TYPES, start=1))).fillna(""),
        possibly_noisy=pd.to_numeric(table["Possibly_noisy"], errors="coerce").fillna(0) != 0,
        split=pd.to_numeric(table["Train_Val_Test"], errors="coerce").map(_SPLITS).fillna(""),
        patient_sex=table["Patient_gender"].str.strip().replace({"nan": "", "NaN": ""}),
        patient_age=age.where(age > 0),  # 0 stands for missing
        _number=pd.to_numeric(parts[4]).fillna(-1).astype(int),
        _swapped=swapped,
        _length_fault=rows["long_mm"].map(rules.length_fault),
        _code=code,
    )


def _lengths(axes: np.ndarray, scale: np.ndarray | float = 1.0) -> np.ndarray:  # (N, 4) → (N,)
    steps = (axes[:, 2:4] - axes[:, 0:2]) * scale
    return np.asarray(np.hypot(steps[:, 0], steps[:, 1]))


def _attach_images(lesions: pd.DataFrame, slices: pd.DataFrame) -> pd.DataFrame:
    """Fill `image`, `slice_index`, `columns`, `rows` of rows whose PNG is here; return the PNG headers.

    The headers' frame has one row a lesion: `path`, `columns`, `rows` (−1 absent, 0 unreadable), `bits`.
    """
    keys = ["series_instance_uid", "_number"]
    joined = lesions[keys].merge(slices[[*keys, "path", "slice_index"]], on=keys, how="left")
    joined.index = lesions.index
    lesions["image"] = joined["path"].fillna("")
    lesions["slice_index"] = joined["slice_index"].fillna(-1)
    header_of = {path: png_header(path) for path in joined["path"].dropna().unique()}
    headers = pd.DataFrame(
        [header_of.get(path, (-1, -1, 0)) for path in joined["path"]],
        columns=["columns", "rows", "bits"],
        index=lesions.index,
    )
    headers["size_differs"] = (headers["columns"] > 0) & (
        (headers["columns"] != lesions["columns"]) | (headers["rows"] != lesions["rows"])
    )
    for name in ("columns", "rows"):
        lesions[name] = headers[name].where(headers["columns"] > 0, lesions[name])
    return headers


def _intervals(table: pd.DataFrame, lesions: pd.DataFrame) -> pd.Series:
    """Return each row's slice interval in mm, NaN where the table's is not believable."""
    interval = _numbers(table["Spacing_mm_px_"], 3)[:, 2]
    believable = (interval > 0) & (interval <= INTERVAL_MAX_MM)
    return pd.Series(np.where(believable, interval, np.nan), index=lesions.index)


def _judge(lesions: pd.DataFrame, table: pd.DataFrame, headers: pd.DataFrame, *, with_images: bool) -> None:
    """Fill `status`, `reason` and `flags`: an image refutes a mark, a table alone doubts it."""
    tight = lesions[["x0", "y0", "x1", "y1"]] + np.array([1, 1, -1, -1]) * BOX_PADDING_PX
    reasons = [
        (lesions["series_instance_uid"] == "", "file name not understood"),
        (lesions[list(_AXES)].isna().any(axis=1), rules.NOT_A_NUMBER.reason),
        (lesions[["long_px", "short_px"]].min(axis=1) < rules.ZERO_LENGTH_PX, rules.ZERO_LENGTH.reason),
        (lesions["spacing_x_mm"].isna() | lesions["spacing_y_mm"].isna(), "pixel spacing not positive"),
    ]
    if with_images:
        reasons += [
            (headers["columns"] < 0, IMAGE_NOT_FOUND),
            (headers["columns"] == 0, "image unreadable"),
            (~_inside(tight, lesions), rules.OFF_IMAGE.reason),
        ]
    shortfall, angle_deg = _crossing(lesions)
    reasons += [
        (angle_deg < rules.LEAST_ANGLE_DEG, rules.ANGLE.reason),
        (shortfall > rules.APART, rules.NOT_CROSSING.reason),
        *((lesions["_length_fault"] == fault, fault) for fault in lesions["_length_fault"].unique() if fault),
    ]
    lesions["reason"] = ""
    for refuted, reason in reversed(reasons):  # the first that holds is the one told
        lesions.loc[refuted, "reason"] = reason
    lesions["status"] = np.where(lesions["reason"] == "", KEPT, REJECTED)
    kept = lesions["status"] == KEPT
    lesions["flags"] = ""
    for doubted, remark in _remarks(lesions, table, headers, with_images=with_images):
        hit = kept & doubted
        remark = remark[hit] if isinstance(remark, pd.Series) else remark
        lesions.loc[hit, "flags"] = (lesions.loc[hit, "flags"] + ";" + remark).str.removeprefix(";")


def _inside(boxes: pd.DataFrame, lesions: pd.DataFrame) -> pd.Series:
    """Whether each box lies on its image; the vectorised form of `BoundingBox.is_inside`."""
    return (
        (boxes["x0"] >= -0.5)
        & (boxes["y0"] >= -0.5)
        & (boxes["x1"] <= lesions["columns"] - 0.5)
        & (boxes["y1"] <= lesions["rows"] - 0.5)
    )


def _remarks(
    lesions: pd.DataFrame, table: pd.DataFrame, headers: pd.DataFrame, *, with_images: bool
) -> list[tuple[pd.Series, str | pd.Series]]:
    """Return what is doubtful about rows: (which rows, the remark)."""
    stated_box = _numbers(table["Bounding_boxes"], 4) - 1.0  # counts from 1, as the coordinates do
    stated_px = _numbers(table["Lesion_diameters_Pixel_"], 2)
    box_off = _worst(lesions[["x0", "y0", "x1", "y1"]].to_numpy() - stated_box)
    axes_off = _worst(lesions[["long_px", "short_px"]].to_numpy() - stated_px)
    location = lesions[["x_stated", "y_stated", "z_stated"]]
    shortfall, angle_deg = _crossing(lesions)
    sized = lesions["columns"] > 0
    beyond = sized & ~_inside(lesions[["x0", "y0", "x1", "y1"]], lesions)
    return [
        (lesions["_swapped"], rules.SHORT_LONGER.flag),
        (~(shortfall <= rules.CROSSING_TOLERANCE), rules.NOT_CROSSING.flag),
        (~(90 - angle_deg <= rules.PERPENDICULAR_TOLERANCE_DEG), rules.ANGLE.flag),
        (box_off > BOX_TOLERANCE_PX, "box differs from stated by " + box_off.round(2).astype(str) + " px"),
        (axes_off > BOX_TOLERANCE_PX, "axes differ from stated by " + axes_off.round(2).astype(str) + " px"),
        (
            beyond,
            "box reaches over the image border" if with_images else "box outside the stated image size",
        ),
        (headers["size_differs"], "image size differs from stated"),
        (~sized, "image size unknown"),
        ((location < 0).any(axis=1) | (location > 1).any(axis=1), "stated location outside 0–1"),
        (_intervals(table, lesions).isna(), "slice interval unknown"),
        (lesions["type"].eq("") & lesions["_code"].notna() & lesions["_code"].ne(-1), "type code unknown"),
        (lesions["split"] == "", "split unknown"),
    ]


def _worst(differences: np.ndarray) -> pd.Series:  # (N, k) px → (N,)
    """Return the largest absolute difference of each row; 0 where nothing was stated."""
    return pd.Series(np.nan_to_num(np.abs(differences)).max(axis=1, initial=0.0))


def _crossing(lesions: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return each row's shortfall and angle in degrees (see `marks`), vectorised; no number: NaN."""
    long_axis, short_axis = lesions[list(_AXES[:4])].to_numpy(), lesions[list(_AXES[4:])].to_numpy()
    u, v = long_axis[:, 2:] - long_axis[:, :2], short_axis[:, 2:] - short_axis[:, :2]
    gap = short_axis[:, :2] - long_axis[:, :2]
    area = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shares = np.c_[gap[:, 0] * v[:, 1] - gap[:, 1] * v[:, 0], gap[:, 0] * u[:, 1] - gap[:, 1] * u[:, 0]]
        shares = shares / area[:, None]
        shortfall = np.maximum(-shares, shares - 1).max(axis=1).clip(0)
        scale = lesions[["spacing_x_mm", "spacing_y_mm"]].to_numpy()
        u, v = u * scale, v * scale
        across, along = np.abs(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]), np.abs((u * v).sum(axis=1))
    return pd.Series(shortfall), pd.Series(np.degrees(np.arctan2(across, along)))


def _series_table(
    lesions: pd.DataFrame, slices: pd.DataFrame, table: pd.DataFrame, headers: pd.DataFrame
) -> pd.DataFrame:
    """Return one row a series that the table names; `slices` is 0 where the release has no image of it."""
    rows = lesions.assign(
        _interval=_intervals(table, lesions),
        _bits=headers["bits"],
        _window=table["DICOM_windows"].str.replace(" ", ""),
    )
    groups = rows[rows["series_instance_uid"] != ""].groupby("series_instance_uid", sort=True)
    first = ["study_instance_uid", "patient_id", "columns", "rows", "spacing_x_mm", "spacing_y_mm"]
    series = groups[first].first()
    several = groups["_interval"].nunique() > 1
    series["slice_interval_mm"] = groups["_interval"].median().where(~several)
    series["slices"] = slices.groupby("series_instance_uid").size().reindex(series.index, fill_value=0)
    remarks = [
        (series["slice_interval_mm"].isna(), "slice interval unknown"),
        (several, "slice interval differs between rows"),
        (
            (groups[["spacing_x_mm", "spacing_y_mm"]].nunique() > 1).any(axis=1),
            "spacing differs between rows",
        ),
        (_is_falling(rows).reindex(series.index, fill_value=False), "stated z falls with the slice number"),
        (groups["_bits"].max() == 8, groups["_window"].agg(eight_bit_flag)),
    ]
    series["flags"] = ""
    for hit, remark in remarks:
        remark = remark[hit] if isinstance(remark, pd.Series) else remark
        series.loc[hit, "flags"] = (series.loc[hit, "flags"] + ";" + remark).str.removeprefix(";")
    return series.reset_index().assign(kind="deeplesion", description="DeepLesion")


def _is_falling(rows: pd.DataFrame) -> pd.Series:
    """Whether a series' stated z falls by more than 0.02 from its lowest to its highest marked slice.

    Of 1,034 series of the validation split with marks more than 5 slices apart, z falls in 4, by more than
    0.02 in 2: the order is told as a flag, never turned round.
    """
    marked = rows.dropna(subset=["z_stated"]).sort_values("_number")
    groups = marked[marked["series_instance_uid"] != ""].groupby("series_instance_uid")["z_stated"]
    return groups.last() - groups.first() < -0.02
