"""CSVs of images with masks or boxes: NIfTI and DICOM in every pairing, bad rows among good ones."""

import nibabel
import numpy as np
import pytest
from dicom_files import ct_slice, save, uid, volume

from lesiongraph.errors import SourceNotFoundError, TableSchemaError
from lesiongraph.lesion import LESIONS, SERIES, SLICES
from lesiongraph.mining.mask_csv import mine_mask_csv
from lesiongraph.mining.mask_volume import PAIRED_BY_NUMBER

HEADER = "image,mask,patient,study_date,type,sop_instance_uid,x0,y0,x1,y1"
# Slices of `dicom_files.volume`: 48 × 32 px of 0.8 × 0.5 mm from (-10, -20), z = 0, −5, …, −20 mm.
AFFINE = np.array([[-0.8, 0, 0, 10], [0, -0.5, 0, 20], [0, 0, -5, 0], [0, 0, 0, 1.0]])  # RAS, k head → foot


def nifti(path, voxels, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)


def ct_voxels() -> np.ndarray:
    voxels = np.full((48, 32, 5), 40, np.int16)
    voxels[:4] = -1000
    return voxels


def mask_voxels(*boxes, dtype=np.uint8) -> np.ndarray:
    """Boxes as (label, x0, x1, y0, y1, k0, k1), ends excluded."""
    voxels = np.zeros((48, 32, 5), dtype)
    for label, x0, x1, y0, y1, k0, k1 in boxes:
        voxels[x0:x1, y0:y1, k0:k1] = label
    return voxels


def dicom_mask(folder, voxels, numbers=range(1, 6), **changes):
    """Write a mask as a DICOM series marked CT, 8 bits, as 3D-IRCADb does."""
    for k, number in enumerate(numbers):
        plane = np.ascontiguousarray(voxels[:, :, k].T).astype(np.uint8)
        slice_ = ct_slice(-5.0 * k, number=number, stored=plane, series=f"mask {folder.name}", **changes)
        slice_.RescaleIntercept = 0
        save(slice_, folder / f"{k:03d}.dcm")


def write(folder, *rows):
    (folder / "list.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return folder / "list.csv"


BLOCK = (1, 10, 20, 8, 14, 1, 3)  # 10 × 6 px = 8 × 3 mm on slices 1 and 2


@pytest.mark.parametrize("image_kind", ["nifti", "dicom"])
@pytest.mark.parametrize("mask_kind", ["nifti", "dicom"])
def test_image_and_mask_of_any_kind(tmp_path, image_kind, mask_kind):
    if image_kind == "nifti":
        nifti(tmp_path / "ct.nii.gz", ct_voxels())
    else:
        volume(tmp_path / "ct")
    if mask_kind == "nifti":
        nifti(tmp_path / "mask.nii", mask_voxels(BLOCK))
    else:
        dicom_mask(tmp_path / "mask", mask_voxels(BLOCK))
    image = "ct.nii.gz" if image_kind == "nifti" else "ct"
    mask = "mask.nii" if mask_kind == "nifti" else "mask"
    result = mine_mask_csv(write(tmp_path, f"{image},{mask},P7,2021-03-04,liver,,,,,"))
    (lesion,) = result.lesions.to_dict("records")
    assert (lesion["status"], lesion["reason"], lesion["flags"]) == ("kept", "", "")
    assert (lesion["patient_id"], lesion["study_date"], lesion["type"]) == ("P7", "2021-03-04", "liver")
    assert (lesion["source"], lesion["slice_index"]) == ("mask", 1)
    assert lesion["long_mm"] == pytest.approx(np.hypot(8, 3), abs=0.7)
    assert (lesion["x0"], lesion["x1"]) == pytest.approx((4.5, 24.5), abs=0.6)  # 9.5 − 5, 19.5 + 5
    assert (lesion["y0"], lesion["y1"]) == pytest.approx((2.5, 18.5), abs=0.6)
    (series,) = result.series.to_dict("records")
    assert (series["kind"], series["patient_id"], series["slices"]) == (image_kind, "P7", 5)
    assert series["slice_interval_mm"] == pytest.approx(5)
    assert result.slices["slice_index"].tolist() == [0, 1, 2, 3, 4]
    assert list(result.lesions) == list(LESIONS)
    assert list(result.series) == list(SERIES)
    assert list(result.slices) == list(SLICES)


def test_a_mask_stored_otherwise_than_its_image(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    turned = np.flip(mask_voxels(BLOCK).transpose(2, 0, 1), (0, 1))  # voxel (4 − k, 47 − i, j)
    change = np.array([[0, -1, 0, 47], [0, 0, 1, 0], [-1, 0, 0, 4], [0, 0, 0, 1.0]])
    nifti(tmp_path / "mask.nii", np.ascontiguousarray(turned), AFFINE @ change)
    (lesion,) = mine_mask_csv(write(tmp_path, "ct.nii,mask.nii,P,,,,,,,")).lesions.to_dict("records")
    assert lesion["slice_index"] == 1
    assert (lesion["x0"], lesion["x1"]) == pytest.approx((4.5, 24.5), abs=0.6)


def test_without_positions_the_instance_number_pairs(tmp_path):
    volume(tmp_path / "ct")
    dicom_mask(tmp_path / "mask", mask_voxels(BLOCK), ImagePositionPatient=None)
    (lesion,) = mine_mask_csv(write(tmp_path, "ct,mask,P,20210304,,,,,,")).lesions.to_dict("records")
    assert (lesion["slice_index"], lesion["flags"], lesion["study_date"]) == (
        1,
        PAIRED_BY_NUMBER,
        "2021-03-04",
    )
    assert (lesion["x0"], lesion["x1"]) == pytest.approx((4.5, 24.5), abs=0.6)


def test_planes_on_absent_slices_are_counted(tmp_path):
    volume(tmp_path / "ct")
    for name in ("002", "003"):
        (tmp_path / "ct" / name).unlink()
    nifti(tmp_path / "mask.nii", mask_voxels((1, 10, 20, 8, 14, 1, 4)))
    result = mine_mask_csv(write(tmp_path, "ct,mask.nii,P,,,,,,,"))
    assert result.counts["mask plane on absent slice"] == 2
    assert "more than half of the contours absent" in result.lesions["flags"].iloc[0]


def test_each_piece_of_a_binary_mask_is_a_lesion(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    far = (1, 30, 40, 8, 14, 1, 3)
    above = (1, 10, 20, 8, 14, 4, 5)  # same place as BLOCK, an empty slice between
    speck = (1, 2, 3, 2, 3, 0, 1)
    nifti(tmp_path / "mask.nii", mask_voxels(BLOCK, far, above, speck))
    result = mine_mask_csv(write(tmp_path, "ct.nii,mask.nii,P,,,,,,,"))
    lesions = result.lesions
    assert (lesions["status"] == "kept").sum() == 3
    assert lesions.loc[lesions["status"] == "rejected", "reason"].tolist() == ["too small"]
    assert result.counts["mask pieces too small"] == 1
    assert lesions["lesion_id"].is_unique


def test_a_lesion_may_hang_together_by_corners(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    stairs = [(1, 10, 20, 8, 14, 1, 2), (1, 20, 26, 14, 20, 2, 3)]
    nifti(tmp_path / "mask.nii", mask_voxels(*stairs))
    assert len(mine_mask_csv(write(tmp_path, "ct.nii,mask.nii,P,,,,,,,")).lesions) == 1


def test_each_label_of_a_label_mask_is_a_lesion(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    touching = (2, 20, 30, 8, 14, 1, 3)
    apart = (1, 40, 45, 20, 25, 1, 3)  # a second piece of label 1
    nifti(tmp_path / "mask.nii", mask_voxels(BLOCK, touching, apart))
    lesions = mine_mask_csv(write(tmp_path, "ct.nii,mask.nii,P,,,,,,,")).lesions
    assert lesions["source_item"].tolist() == ["mask.nii label 1", "mask.nii label 2"]


def test_a_probability_map_ends_at_a_half(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    voxels = mask_voxels((0.3, 5, 25, 5, 20, 1, 3), (0.7, *BLOCK[1:]), dtype=np.float32)
    nifti(tmp_path / "mask.nii", voxels)
    lesions = mine_mask_csv(write(tmp_path, "ct.nii,mask.nii,P,,,,,,,")).lesions
    assert lesions["long_mm"].iloc[0] == pytest.approx(np.hypot(8, 3), abs=0.7)


def test_a_mask_up_to_the_border_is_kept(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    nifti(tmp_path / "mask.nii", mask_voxels((1, 0, 48, 0, 32, 0, 5)), AFFINE + 1e-6)
    lesions = mine_mask_csv(write(tmp_path, "ct.nii,mask.nii,P,,,,,,,")).lesions
    assert lesions["status"].tolist() == ["kept"]


@pytest.mark.parametrize("kind", ["dicom", "nifti"])
def test_a_box_names_its_slice(tmp_path, kind):
    if kind == "dicom":
        image, name = "ct", volume(tmp_path / "ct")[2]
    else:
        nifti(tmp_path / "ct.nii", ct_voxels())
        image, name = "ct.nii", "2"
    result = mine_mask_csv(write(tmp_path, f"{image},,P,2021-03-04,lung,{name},10,8,20,18"))
    (lesion,) = result.lesions.to_dict("records")
    assert (lesion["status"], lesion["source"], lesion["flags"]) == ("kept", "box", "diameters from box")
    assert lesion["slice_index"] == 2
    assert [lesion[name] for name in ("x0", "y0", "x1", "y1")] == [10, 8, 20, 18]
    assert (lesion["long_mm"], lesion["short_mm"]) == pytest.approx((8, 5))  # 0.8 and 0.5 mm a pixel
    assert (lesion["long_px"], lesion["short_px"]) == (10, 10)
    assert np.isnan(lesion["long_x0"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("absent.nii,mask.nii,P,,,,,,,", "image not found"),
        ("ct.nii,absent.nii,P,,,,,,,", "mask not found"),
        (",mask.nii,P,,,,,,,", "no image named"),
        ("ct.nii,mask.nii,,,,,,,,", "no patient named"),
        ("ct.nii,mask.nii,P,31.12.2020,,,,,,", "study_date '31.12.2020' is no date"),
        ("ct.nii,mask.nii,P,,brain,,,,,", "unknown type 'brain'"),
        ("ct.nii,mask.nii,P,,,0,1,1,9,9", "both a mask and a box"),
        ("ct.nii,,P,,,0,1,1,nan,9", "box is not four numbers"),
        ("ct.nii,,P,,,0,1,1,,9", "box is not four numbers"),
        ("ct.nii,,P,,,99,1,1,9,9", "image not found"),
        ("ct.nii,,P,,,,1,1,9,9", "box without sop_instance_uid"),
        ("ct.nii,,P,,,0,9,1,1,9", "zero length"),
        ("ct.nii,,P,,,0,1,1,99,9", "outside the image"),
        ("ct.nii,empty.nii,P,,,,,,,", "mask is empty"),
        ("ct.nii,far.nii,P,,,,,,,", "image not found"),
        ("ct.nii,ct.nii,P,,,,,,,", "mask unreadable: mask with values from -1000 to 40"),
        ("mask.nii,mask.nii,P,,,,,,,", "not CT: values from 0 to 1"),
        ("text.nii,mask.nii,P,,,,,,,", None),
        ("folder,mask.nii,P,,,,,,,", "image is neither NIfTI nor a folder of DICOM"),
        ("ct.nii,folder,P,,,,,,,", "mask is neither NIfTI nor a folder of DICOM"),
    ],
)
def test_a_bad_row_is_rejected_and_the_others_go_on(tmp_path, row, reason):
    nifti(tmp_path / "ct.nii", ct_voxels())
    nifti(tmp_path / "mask.nii", mask_voxels(BLOCK))
    nifti(tmp_path / "empty.nii", mask_voxels())
    nifti(tmp_path / "far.nii", mask_voxels(BLOCK)[5:40, 5:30], AFFINE + np.eye(4, k=3) * 900)
    (tmp_path / "text.nii").write_text("no volume")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("no DICOM")
    result = mine_mask_csv(write(tmp_path, row, "ct.nii,mask.nii,P,,Kidney,,,,,"))
    bad, good = result.lesions.to_dict("records")
    assert (good["status"], good["type"]) == ("kept", "kidney")
    assert bad["status"] == "rejected"
    assert bad["reason"].startswith("image unreadable") if reason is None else bad["reason"] == reason
    assert str(tmp_path) not in bad["reason"]


def test_one_image_in_several_rows_is_one_series(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    nifti(tmp_path / "a.nii", mask_voxels(BLOCK))
    nifti(tmp_path / "b.nii", mask_voxels((1, 30, 40, 8, 14, 1, 3)))
    rows = [f"ct.nii,{name}.nii,P,2020-01-01,,,,,," for name in "ab"]
    result = mine_mask_csv(write(tmp_path, *rows, "ct.nii,a.nii,Q,2020-01-01,,,,,,", "ct.nii,,P,,,,,,,"))
    assert len(result.series) == 1
    assert result.lesions["status"].tolist() == ["kept", "kept", "rejected"]
    assert result.lesions["reason"].iloc[2] == "image listed under two patients"
    assert result.counts["images without marks"] == 1


def test_ids_follow_content_not_place_or_order(tmp_path):
    ids = []
    for name in ("one", "two"):
        folder = tmp_path / name
        nifti(folder / "ct.nii", ct_voxels())
        nifti(folder / "a.nii", mask_voxels(BLOCK))
        nifti(folder / "b.nii", mask_voxels((1, 30, 40, 8, 14, 1, 3)))
        rows = [f"ct.nii,{mask}.nii,P,2020-01-01,,,,,," for mask in ("ab" if name == "one" else "ba")]
        ids.append(set(mine_mask_csv(write(folder, *rows)).lesions["lesion_id"]))
    assert ids[0] == ids[1]
    assert len(ids[0]) == 2


def test_a_blank_patient_id_is_filled_from_the_table(tmp_path):
    volume(tmp_path / "ct", PatientID="")
    nifti(tmp_path / "mask.nii", mask_voxels(BLOCK))
    result = mine_mask_csv(write(tmp_path, "ct,mask.nii,named,,,,,,,"))
    assert result.lesions["patient_id"].tolist() == ["named"]
    assert result.lesions["study_date"].tolist() == ["2020-01-31"]  # the DICOM's own
    assert result.lesions["study_instance_uid"].tolist() == [uid("study")]
    assert result.series["patient_id"].tolist() == ["named"]
    assert "patient id missing" not in result.series["flags"].iloc[0]


def test_broken_tables_are_clear_errors(tmp_path):
    with pytest.raises(SourceNotFoundError):
        mine_mask_csv(tmp_path / "absent.csv")
    path = tmp_path / "list.csv"
    path.write_text("image,mask\na,b\n")
    with pytest.raises(TableSchemaError, match="patient"):
        mine_mask_csv(path)
    path.write_bytes(b"")
    with pytest.raises(TableSchemaError):
        mine_mask_csv(path)


def test_optional_columns_may_be_absent_and_others_are_told(tmp_path):
    nifti(tmp_path / "ct.nii", ct_voxels())
    nifti(tmp_path / "mask.nii", mask_voxels(BLOCK))
    (tmp_path / "list.csv").write_text("image,mask,patient,study_date,typ\nct.nii,mask.nii,P,,liver\n")
    result = mine_mask_csv(tmp_path / "list.csv")
    assert result.lesions["status"].tolist() == ["kept"]
    assert result.counts["column ignored: typ"] == 1
