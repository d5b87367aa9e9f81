"""Hostile NIfTI, PNG and tables: bounded memory and time, an error or a reason that names what is wrong."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from child import mine
from small_hospital import PATIENTS, STUDIES, write_study

ROW = {
    "File_name": "000001_01_01_005.png",
    "Measurement_coordinates": "11,21,31,21,21,16,21,26",
    "Spacing_mm_px_": "0.8,0.8,5",
    "Image_size": "48,48",
}


def nifti(path: Path, shape: tuple[int, ...], data: bytes = b"") -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header["dim"][: len(shape) + 1] = (len(shape), *shape)
    header["pixdim"][1:4] = 1
    header["sform_code"], header["vox_offset"] = 1, 352
    header["srow_x"][0] = header["srow_y"][1] = header["srow_z"][2] = 1
    header["magic"] = b"n+1\0"
    content = header.binaryblock + bytes(4) + data
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.mark.parametrize(
    ("name", "shape", "reason"),
    [
        ("a.nii", (32767, 32767, 32767), "shape (32767, 32767, 32767), at most 4096 a side are read"),
        ("a.nii.gz", (4096, 4096, 4096), "at most 4096 a side are read"),  # 2^36 voxels
        ("a.nii", (4000, 4000, 100), "image unreadable"),
        ("a.nii.gz", (2000, 2000, 400), "image unreadable"),
        ("a.nii", (-5, 4, 4), "image unreadable"),
    ],
)
def test_absurd_volumes(tmp_path: Path, name, shape, reason):
    nifti(tmp_path / name, shape)
    write_study(tmp_path / "study", PATIENTS[0], STUDIES[0])
    table = tmp_path / "boxes.csv"
    table.write_text(f"image,mask,patient,study_date,sop_instance_uid,x0,y0,x1,y1\n{name},,P,,0,1,1,9,9\n")
    found = mine([table, tmp_path / "study"], tmp_path / "w")
    assert (found.lesions.status == "kept").sum() == 4
    assert len(found.reasons) == 1
    assert reason in found.reasons[0]


def png(columns: int, rows: int, data: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 16, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (png(40_000, 40_000), "image unreadable"),
        (png(48, 48, bytes(1 << 28)), ""),  # rows beyond those declared are not unpacked
        (png(4000, 4000), "unreadable image"),
    ],
    ids=["declared", "unpacks", "cut"],
)
def test_png_bombs(tmp_path: Path, image, reason):
    path = tmp_path / "Images_png" / "000001_01_01" / "005.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(image)
    pd.DataFrame([ROW]).to_csv(tmp_path / "DL_info.csv", index=False)
    (tmp_path / "study").mkdir()
    write_study(tmp_path / "study", PATIENTS[0], STUDIES[0])
    found = mine([tmp_path, tmp_path / "study"], tmp_path / "w")
    assert len(found.lesions) == 5
    (row,) = found.lesions[found.lesions.source == "DeepLesion"].to_dict("records")
    assert row["reason"].startswith(reason)
    assert row["status"] == ("rejected" if reason else "kept")


def table_of(kind: str) -> str:
    names, cells = list(ROW), [f'"{value}"' for value in ROW.values()]
    if kind == "a million columns":
        names += [f"c{i}" for i in range(1_000_000)]
        cells += ["1"] * 1_000_000
    elif kind == "huge numbers":
        cells[1:] = ["9" * 100_000, f'"{"9" * 400},1e400,5"', f'"{"9" * 30},{"9" * 30}"']
    elif kind == "an open quote":
        cells[-1] = '"48,48' + "x\n" * 1_000_000
    elif kind == "a long row":
        cells += ["1"] * 1_000_000
    return ",".join(names) + "\n" + ",".join(cells) + "\n"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("a million columns", "at most 1000 columns"),
        ("huge numbers", "rejected"),
        ("an open quote", "expected a comma-separated table"),
        ("a long row", "expected"),
    ],
)
def test_absurd_tables(tmp_path: Path, kind, outcome):
    (tmp_path / "DL_info.csv").write_text(table_of(kind))
    if outcome in ("kept", "rejected"):
        assert mine([tmp_path], tmp_path / "w").lesions.status.tolist() == [outcome]
    else:
        with pytest.raises(RuntimeError, match=outcome) as error:
            mine([tmp_path], tmp_path / "w")
        assert len(str(error.value)) < 2000
