"""DL_info.csv, broken in a fixed number of ways: an error that names it, or one row for each of its rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from invariants import check
from mutants import FLIPS, flipped, fuzz
from PIL import Image

from lesiongraph.errors import TableSchemaError
from lesiongraph.mining.deeplesion import mine_deeplesion

NAMES = [f"00000{p}_01_0{series}_{number:03d}.png" for p in (1, 2) for series in (1, 2) for number in (5, 6)]
VALID = pd.DataFrame({
    "File_name": NAMES,
    "Measurement_coordinates": "11, 21, 31, 21, 21, 16, 21, 26",
    "Bounding_boxes": "6, 11, 36, 31",
    "Lesion_diameters_Pixel_": "20, 10",
    "Normalized_lesion_location": "0.3, 0.4, 0.5",
    "Coarse_lesion_type": "5",
    "Possibly_noisy": "0",
    "Slice_range": "4, 7",
    "Spacing_mm_px_": "0.8, 0.8, 5",
    "Image_size": "48, 48",
    "DICOM_windows": "-1500, 500",
    "Patient_gender": "F",
    "Patient_age": "61",
    "Train_Val_Test": "3",
}, dtype=str)  # fmt: skip
CELLS = st.one_of(
    st.sampled_from([
        "", " ", "nan", "NaN", "inf", "-inf, inf", "1e308,1e308,1e308,1e308,1e308,1e308,1e308,1e308",
        "-1", "0",
        "9" * 300, "1,2", ",,,,,,,", "1,2,3,4,5,6,7,8,9", '"', "'", "0x10", "1e-320,1e-320,5", "٣,٤,٥", "١",
        "\0",
        "../../etc/passwd", "000001_01_01_005.png", "000001_01_01_999999.png", "=1+1", "<script>", "1_000",
        "TRUE",
        "99999999999999999999", "1,1,1,1,1,1,1,1", "10,10,20,10,10,11,20,11", "65535,65535", "1e9, 1e9",
    ]),
    st.text(max_size=12),
    st.lists(st.floats(-1e3, 1e3, width=32), max_size=9).map(lambda v: ", ".join(map(str, v))),
)  # fmt: skip
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("cell"), st.integers(0, 999), CELLS),
        st.tuples(st.just("column"), st.integers(0, 99), CELLS),
        st.tuples(st.sampled_from(["drop", "rename", "twice"]), st.integers(0, 99), st.text(max_size=8)),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module", params=[False, True], ids=["table alone", "with images"])
def folder(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    for name in NAMES if request.param else ():
        image = folder / "Images_png" / name[:12] / name[13:]
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((48, 48), 32808, np.uint16)).save(image)
    return folder


def changed(changes: list[tuple]) -> pd.DataFrame:
    table = VALID.copy()
    for kind, place, how in changes:
        column = place % table.shape[1]
        if kind == "cell":
            table.iloc[place % len(table), column] = how
        elif kind == "column":
            table.isetitem(column, [how] * len(table))
        elif kind == "drop" and table.shape[1] > 1:
            table = table.iloc[:, [i for i in range(table.shape[1]) if i != column]]
        elif kind == "rename":
            table.columns = [how if i == column else name for i, name in enumerate(table.columns)]
        elif kind == "twice":
            table = pd.concat([table, table.iloc[:, [column]]], axis=1)
    return table


def mine(folder: Path) -> pd.DataFrame | None:
    """Return the rows; None where the table is refused by name."""
    try:
        lesions = mine_deeplesion(folder).lesions
    except TableSchemaError as error:
        return None if error.path.name == "DL_info.csv" else pytest.fail(f"another table: {error}")
    check(lesions)
    return lesions


def test_the_valid_table(folder):
    VALID.to_csv(folder / "DL_info.csv", index=False)
    assert (mine(folder).status == "kept").all()


@fuzz(50)
@given(changes=CHANGES)
def test_broken_cells_and_columns(folder, changes):
    table = changed(changes)
    try:
        table.to_csv(folder / "DL_info.csv", index=False, encoding="utf-8")
    except UnicodeEncodeError:  # a lone surrogate cannot be written
        return
    lesions = mine(folder)
    assert lesions is None or len(lesions) == len(pd.read_csv(folder / "DL_info.csv", dtype=str))


@fuzz(50)
@given(how=FLIPS)
@example(how=([(72, 0)], None))  # one header less than fields: every column would have slid by one
def test_broken_bytes(folder, how):
    data = flipped(VALID.to_csv(index=False).encode(), how)
    (folder / "DL_info.csv").write_bytes(data)
    mine(folder)
