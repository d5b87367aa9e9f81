"""Run the whole chain on the real data and write a report: `make real`.

Usage: python tools/real.py DATA OUT
"""

from __future__ import annotations

import csv
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pydicom

FIELDS = ["image", "mask", "patient", "study_date", "type", "sop_instance_uid", "x0", "y0", "x1", "y1"]
DICOM_FOLDERS = (
    "LIDC-IDRI-0001",
    "LUNG1-001_tcia",
    "Pancreas-CT-CB_001",
    "CRLM-CT-1004",
    "ACRIN-FLT-Breast_001_19600101",
    "ACRIN-FLT-Breast_001_19600305",
)


def main(data: Path, out: Path) -> None:
    """Write the CSV of masks and boxes, then walk the stages."""
    out.mkdir(parents=True, exist_ok=True)
    table = write_mask_csv(data, out / "masks_and_boxes.csv")
    workspace = out / "workspace"
    sources = [data / "dicom" / name for name in DICOM_FOLDERS]
    sources += [data / "deeplesion", table, data / "dicom_sr"]
    run("mine", *map(str, sources), "-w", str(workspace))
    run("locate", "-w", str(workspace))
    run("catalogue", "-w", str(workspace), "--csv", str(out / "catalogue.csv"))
    run("embed", "-w", str(workspace))
    run("match", "-w", str(workspace), "--feature", "initial", "--csv", str(out / "matches.csv"))
    with (out / "figures.md").open("w") as handle:
        script = Path(__file__).with_name("real_figures.py")
        subprocess.run([sys.executable, str(script), str(data), str(out)], check=True, stdout=handle)
    print((out / "figures.md").read_text())
    run("report", "-w", str(workspace))


def run(*arguments: str) -> None:
    """Call the command line as a user would, and stop where it fails."""
    print("== lesiongraph", *arguments, flush=True)
    subprocess.run([str(Path(sys.executable).parent / "lesiongraph"), *arguments], check=True)


def write_mask_csv(data: Path, path: Path) -> Path:
    """Write the CSV for the sources whose marks are no DICOM object: masks, boxes in VOC XML."""
    rows = [*_liver_tumours(data), *_lung_boxes(data), *_sarcomas(data)]
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def _liver_tumours(data: Path) -> list[dict[str, object]]:
    folder = (data / "dicom" / "3Dircadb1.17").resolve()
    masks = sorted((folder / "annotations" / "MASKS_DICOM").glob("livertumor*"))
    return [
        {"image": folder, "mask": mask, "patient": "3Dircadb1.17", "study_date": "", "type": "liver"}
        for mask in masks
    ]


def _lung_boxes(data: Path) -> list[dict[str, object]]:
    """One box a series, both at the same table position: where the tumour is largest in the two together."""
    names = ("Lung_Dx-A0001_s2", "Lung_Dx-A0001_s3")
    boxes = [_boxes_by_position(data / "dicom" / name) for name in names]
    common = set(boxes[0]) & set(boxes[1])
    position = max(common, key=lambda z: sum(_area(found[z][0]) for found in boxes))
    rows = []
    for name, found in zip(names, boxes, strict=True):
        (x0, y0, x1, y1), header = found[position]
        date = str(header.StudyDate)
        rows.append(
            {
                "image": (data / "dicom" / name).resolve(),
                "mask": "",
                "patient": "Lung_Dx-A0001",
                "study_date": f"{date[:4]}-{date[4:6]}-{date[6:]}",
                "type": "lung",
                "sop_instance_uid": header.SOPInstanceUID,
                **{"x0": x0, "y0": y0, "x1": x1, "y1": y1},
            }
        )
    return rows


def _boxes_by_position(folder: Path) -> dict[float, tuple[tuple[float, ...], pydicom.Dataset]]:
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in sorted(folder.glob("*.dcm"))]
    uids = {str(header.SOPInstanceUID).rsplit(".", 1)[-1]: header for header in headers}
    found = {}
    for file in sorted((folder / "annotations").glob("*.xml")):
        header = _header_of(file, uids)
        if header is not None:
            found[round(float(header.ImagePositionPatient[2]), 1)] = (_voc_box(file), header)
    return found


def _header_of(file: Path, uids: dict[str, pydicom.Dataset]) -> pydicom.Dataset | None:
    """The slice an annotation file belongs to: its name ends in the tail of the SOP Instance UID."""
    tail = file.stem.rsplit("_", 1)[-1]
    return next((header for end, header in uids.items() if end.endswith(tail)), None)


def _voc_box(file: Path) -> tuple[float, float, float, float]:
    box = ElementTree.parse(file).find(".//bndbox")
    assert box is not None
    x0, y0, x1, y1 = (float(box.findtext(name, "nan")) for name in ("xmin", "ymin", "xmax", "ymax"))
    return x0 - 1, y0 - 1, x1 - 1, y1 - 1  # VOC counts from 1


def _area(box: tuple[float, ...]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _sarcomas(data: Path) -> list[dict[str, object]]:
    return [
        {
            "image": (folder / "ct.nii.gz").resolve(),
            "mask": (folder / "mask.nii.gz").resolve(),
            "patient": folder.name,
            "study_date": "",
            "type": "soft tissue",
        }
        for folder in sorted((data / "sts").glob("STS_*"))
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
