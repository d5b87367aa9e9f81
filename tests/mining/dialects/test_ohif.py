"""Reports and segmentations of OHIF: written by dcmjs and @cornerstonejs/adapters (tools/dcmjs).

The files in `ohif/` were written by `tools/dcmjs/write.mjs` from `documents.json`, whose points are array
coordinates on pixels of 0.5 mm. The last test writes them anew where Node is installed.
"""

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from dicom_files import ct_slice, save
from pydicom import Dataset, dcmread

from lesiongraph.lesion import Axis
from lesiongraph.mining.dicom_scan import DicomArchive
from lesiongraph.mining.marks import FoundMark, RejectedMark
from lesiongraph.mining.seg import read_seg
from lesiongraph.mining.sr import read_sr
from lesiongraph.mining.stated_size import STATED_DIFFERS

FILES = Path(__file__).parent / "ohif"
WRITER = Path(__file__).parents[3] / "tools" / "dcmjs"
IMAGES = json.loads((WRITER / "documents.json").read_text())["images"]
# The mark that most documents hold: 40 × 24 px
LONG, SHORT = Axis(20, 30, 60, 30), Axis(40, 20, 40, 44)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> DicomArchive:
    """The images that the documents speak of: four series."""
    folder = tmp_path_factory.mktemp("ct")
    for name, series in IMAGES.items():
        for number, (uid, z_mm) in enumerate(zip(series["uids"], series["z_mm"], strict=True)):
            slice_ = ct_slice(
                z_mm,
                number=number,
                stored=np.zeros(series["shape"], np.uint16),
                orientation=(1, 0, 0, *series.get("row_direction", (0, 1, 0))),
                xy_mm=tuple(series["origin_xy_mm"]),
                SOPInstanceUID=uid,
                SeriesInstanceUID=series["series"],
                StudyInstanceUID=series["study"],
                FrameOfReferenceUID=series["frame_of_reference"],
                PixelSpacing=series["spacing_mm"],
            )
            save(slice_, folder / name / str(number))
    return DicomArchive.scan(folder)


def read(name: str, archive: DicomArchive, change: Callable[[Dataset], None] | None = None):
    dataset = dcmread(FILES / name)
    if change is not None:
        change(dataset)
    return read_sr(dataset, archive)


def axes_of(mark: FoundMark | RejectedMark) -> tuple[Axis, Axis]:
    assert isinstance(mark, FoundMark), mark
    assert mark.mark is not None
    return mark.mark.long_axis, mark.mark.short_axis


def reason_of(mark: FoundMark | RejectedMark) -> str:
    return mark.reason if isinstance(mark, RejectedMark) else ""


def close(first: Axis, second: Axis) -> bool:
    return np.allclose(
        [first.x0, first.y0, first.x1, first.y1], [second.x0, second.y0, second.x1, second.y1], atol=1e-3
    )


@pytest.mark.parametrize("name", ["ohif.dcm", "dcmjs_legacy.dcm"])
def test_bidirectional_of_both_generations(archive: DicomArchive, name: str) -> None:
    marks = read(name, archive)
    assert axes_of(marks[0]) == (LONG, SHORT)
    assert marks[0].image.sop_instance_uid == "2.25.101"
    assert marks[0].flags == ()
    assert marks[0].tracking_uid.startswith("2.25.")
    assert marks[0].source_item.endswith(
        "Tools@^0.1.0:Bidirectional" if name[0] == "o" else "@^4.0.0:Bidirectional"
    )


def test_finding_site_and_a_second_lesion_drawn_down(archive: DicomArchive) -> None:
    first, second, length = read("ohif.dcm", archive)
    assert (first.type, first.finding, first.finding_site) == ("liver", "Lesion", "Liver")
    assert axes_of(second) == (Axis(90, 64, 120, 64), Axis(100, 60, 100, 70))
    assert (second.type, second.flags) == ("", ())
    assert reason_of(length) == "single diameter"


def test_a_small_oblique_lesion_of_the_old_viewer(archive: DicomArchive) -> None:
    _, length, small = read("dcmjs_legacy.dcm", archive)
    assert reason_of(length) == "single diameter"
    long, short = axes_of(small)
    assert (long, short) == (Axis(20, 30, 26, 38), Axis(21, 35.5, 25, 32.5))
    assert long.length_mm(small.image.spacing) == 5  # 6 × 8 px of 0.5 mm
    assert small.image.sop_instance_uid == "2.25.102"


def test_each_tool_is_a_derived_mark_or_a_reason(archive: DicomArchive) -> None:
    marks = read("ohif_other_tools.dcm", archive)
    tools = [mark.source_item.split(":")[-1] for mark in marks]
    told = {}
    for tool, mark in zip(tools, marks, strict=True):
        told.setdefault(tool, []).append(
            reason_of(mark) or tuple(round(a.length_px, 2) for a in axes_of(mark))
        )
    across = 13 * 5 / 12  # of a 12 × 5 rectangle, square on its diagonal of 13
    assert told == {
        "RectangleROI": [(13, round(across, 2))],
        "CircleROI": [(10, 10)],
        "EllipticalROI": [(20, 12)],
        "PlanarFreehandROI": [(13, round(across, 2)), "open polyline"],
        "Angle": ["open polyline"],
        "CobbAngle": ["open polyline"],
        "Probe": ["no diameters"],
        "ArrowAnnotate": ["single diameter"],
    }
    ellipse = axes_of(marks[tools.index("EllipticalROI")])
    assert ellipse == (Axis(120, 50, 120, 70), Axis(114, 60, 126, 60))


@pytest.mark.parametrize(("name", "uid"), [("ohif_3d.dcm", "2.25.101"), ("ohif_3d_tilted.dcm", "2.25.121")])
def test_patient_coordinates_also_on_a_tilted_series(archive: DicomArchive, name: str, uid: str) -> None:
    mark = read(name, archive)[0]
    assert all(close(a, b) for a, b in zip(axes_of(mark), (LONG, SHORT), strict=True))
    assert mark.image.sop_instance_uid == uid
    assert mark.flags == ()


def test_patient_coordinates_off_any_slice_and_an_ellipse(archive: DicomArchive) -> None:
    _, off, ellipse = read("ohif_3d.dcm", archive)
    assert reason_of(off) == "not in the plane of a slice"
    assert all(
        close(a, b)
        for a, b in zip(axes_of(ellipse), (Axis(120, 50, 120, 70), Axis(114, 60, 126, 60)), strict=True)
    )
    assert ellipse.image.sop_instance_uid == "2.25.102"


def test_a_wrong_scale_is_told_by_the_stated_length(archive: DicomArchive) -> None:
    """Cornerstone3D divides across by the spacing of rows: on oblong pixels its lines lie elsewhere."""
    (mark,) = read("ohif_oblong_pixels.dcm", archive)
    assert mark.flags == (STATED_DIFFERS,)
    assert math.isclose(axes_of(mark)[0].length_px, 64, abs_tol=1e-3)  # drawn were 40


def groups(dataset: Dataset) -> list[Dataset]:
    (measurements,) = [
        i for i in dataset.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010"
    ]
    return list(measurements.ContentSequence)


def shapes(dataset: Dataset) -> list[Dataset]:
    """Return the coordinates of the first group."""
    return [num.ContentSequence[0] for num in groups(dataset)[0].ContentSequence if num.ValueType == "NUM"]


def cut(dataset: Dataset) -> None:
    shapes(dataset)[0].GraphicData = list(shapes(dataset)[0].GraphicData)[:-1]


def without_image(dataset: Dataset) -> None:
    for shape in shapes(dataset):
        del shape.ContentSequence


def on_two_images(dataset: Dataset) -> None:
    shapes(dataset)[0].ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.102"


def of_unknown_image(dataset: Dataset) -> None:
    for shape in shapes(dataset):
        shape.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.999"


def without_coordinates(dataset: Dataset) -> None:
    for num in groups(dataset)[0].ContentSequence:
        if num.ValueType == "NUM":
            del num.ContentSequence


def without_frame_of_reference(dataset: Dataset) -> None:
    for shape in shapes(dataset):
        del shape.ReferencedFrameOfReferenceUID


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("ohif.dcm", cut, "damaged coordinates"),
        ("dcmjs_legacy.dcm", cut, "damaged coordinates"),
        ("ohif.dcm", without_image, "image not stated"),
        ("ohif.dcm", on_two_images, "axes on different images"),
        ("ohif.dcm", of_unknown_image, "image not found"),
        ("ohif.dcm", without_coordinates, "no coordinates"),
        ("ohif_3d.dcm", cut, "damaged coordinates"),
        ("ohif_3d.dcm", without_frame_of_reference, "frame of reference not stated"),
    ],
)
def test_malformed_variants_are_rejected(archive: DicomArchive, name: str, change, reason: str) -> None:
    assert reason_of(read(name, archive, change)[0]) == reason


@pytest.mark.parametrize("name", ["ohif_seg.dcm", "ohif_labelmap.dcm"])
def test_segmentations_of_both_types(archive: DicomArchive, name: str) -> None:
    """Segment 1 is 20 × 1 px on the second slice and 10 × 1 on the third, segment 2 is 6 × 1 on the third."""
    marks, landmarks, counts = read_seg(dcmread(FILES / name), archive)
    assert [mark.source_item for mark in marks] == ["segment 1 nodule", "segment 2 other nodule"]
    assert [mark.image.sop_instance_uid for mark in marks] == ["2.25.131", "2.25.132"]
    boxes = [mark.mark.bounding_box(0) for mark in marks]
    assert [(b.x0, b.y0, b.x1, b.y1) for b in boxes] == [
        pytest.approx((9.5, 11.5, 29.5, 12.5), abs=0.01),
        pytest.approx((29.5, 19.5, 35.5, 20.5), abs=0.01),
    ]
    assert (landmarks, counts) == ([], {})


def told(path: Path, archive: DicomArchive) -> list[tuple[object, ...]]:
    """Return what is read of a document, less what differs in every run."""
    dataset = dcmread(path)
    marks = read_sr(dataset, archive) if dataset.Modality == "SR" else read_seg(dataset, archive)[0]
    return [
        (
            mark.source_item,
            mark.type,
            mark.finding,
            reason_of(mark) or axes_of(mark),
            getattr(mark, "flags", ()),
        )
        for mark in marks
    ]


@pytest.mark.slow
def test_written_anew_they_read_the_same(archive: DicomArchive, tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not installed")
    folder = WRITER
    if not (WRITER / "node_modules").is_dir():
        folder = Path(shutil.copytree(WRITER, tmp_path / "dcmjs"))
        installed = subprocess.run([npm, "ci"], cwd=folder, capture_output=True, text=True, timeout=300)
        if installed.returncode != 0:
            pytest.skip(f"npm ci did not work: {installed.stderr.strip()[-200:]}")
    subprocess.run([node, "write.mjs", str(tmp_path / "sr")], cwd=folder, check=True, capture_output=True)
    written = sorted((tmp_path / "sr").glob("*.dcm"))
    assert [path.name for path in written] == [path.name for path in sorted(FILES.glob("*.dcm"))]
    for path in written:
        assert told(path, archive) == told(FILES / path.name, archive)
