"""SR and GSPS come back with the coordinates that were drawn, half a pixel apart from array coordinates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.coding import Code

from lesiongraph.lesion import LESION_TYPES, Axis
from lesiongraph.phantom.dicom import (
    PatientRecord,
    SeriesGeometry,
    SeriesStyle,
    StudyRecord,
    WrittenSeries,
    write_series,
)
from lesiongraph.phantom.reports import FINDING_SITES, DrawnMark, write_gsps, write_sr

STUDY = StudyRecord(PatientRecord(1, "PHANTOM-0001", "M", "19600101"), 1, "20120304", "101500", "CT", 0.0)
LONG = Axis(10.25, 20.5, 30.75, 24.125)
SHORT = Axis(19.5, 28.25, 21.25, 16.0)


@pytest.fixture
def series(tmp_path: Path) -> WrittenSeries:
    geometry = SeriesGeometry(np.arange(4) * 5.0, 0.8, -20, -20, 5.0, "smooth", "native")
    return write_series(tmp_path / "ct", np.zeros((4, 64, 64), np.int16), geometry, (STUDY, 1), SeriesStyle())


def mark(series: WrittenSeries, slice_index: int = 1, lesion_type: str = "liver") -> DrawnMark:
    return DrawnMark(series, slice_index, LONG, SHORT, lesion_type, STUDY.uid("mark", slice_index))


def points(axis: Axis) -> list[float]:
    """As DICOM counts them: from the corner of the first pixel."""
    return [axis.x0 + 0.5, axis.y0 + 0.5, axis.x1 + 0.5, axis.y1 + 0.5]


def scoords(group: hd.sr.MeasurementsAndQualitativeEvaluations, name: Code) -> list[hd.sr.ContentItem]:
    (measurement,) = group.get_measurements(name=name)
    return [item for item in measurement[0].ContentSequence if item.ValueType == "SCOORD"]


class TestSr:
    def test_coordinates_values_and_images_come_back(self, tmp_path: Path, series: WrittenSeries) -> None:
        report = write_sr(tmp_path / "sr.dcm", STUDY, 0, [mark(series, 1), mark(series, 3)])
        groups = hd.sr.srread(report.path).content.get_image_measurement_groups()
        assert len(groups) == 2
        for group, slice_index in zip(groups, (1, 3), strict=True):
            for code, axis in (("103339001", LONG), ("103340004", SHORT)):
                name = Code(code, "SCT", "")
                (scoord,) = scoords(group, name)
                assert scoord.GraphicType == "POLYLINE"
                assert list(scoord.GraphicData) == points(axis)
                (image,) = scoord.ContentSequence
                assert image.RelationshipType == "SELECTED FROM"
                referenced = image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
                assert referenced == series.sop_instance_uids[slice_index]
                (measurement,) = group.get_measurements(name=name)
                assert measurement.value == pytest.approx(axis.length_px * 0.8, abs=0.006)
                assert measurement.unit.value == "mm"

    def test_finding_site_is_coded_only_when_the_reader_did(
        self, tmp_path: Path, series: WrittenSeries
    ) -> None:
        coded = write_sr(tmp_path / "a.dcm", STUDY, 0, [mark(series)])
        plain = write_sr(tmp_path / "b.dcm", STUDY, 1, [mark(series, lesion_type="")])
        (with_site,) = hd.sr.srread(coded.path).content.get_image_measurement_groups()
        (without,) = hd.sr.srread(plain.path).content.get_image_measurement_groups()
        assert [site.value.value for site in with_site.finding_sites] == ["10200004"]
        assert without.finding_sites == []

    def test_every_type_has_a_site(self) -> None:
        assert set(FINDING_SITES) == set(LESION_TYPES)

    def test_tracking_uid_and_evidence(self, tmp_path: Path, series: WrittenSeries) -> None:
        report = write_sr(tmp_path / "sr.dcm", STUDY, 0, [mark(series, 1), mark(series, 3)])
        ds = hd.sr.srread(report.path)
        uids = [group.tracking_uid for group in ds.content.get_image_measurement_groups()]
        assert uids == [STUDY.uid("mark", 1), STUDY.uid("mark", 3)]
        (study,) = ds.CurrentRequestedProcedureEvidenceSequence
        (one,) = study.ReferencedSeriesSequence
        listed = {item.ReferencedSOPInstanceUID for item in one.ReferencedSOPSequence}
        assert listed == {series.sop_instance_uids[1], series.sop_instance_uids[3]}
        assert ds.StudyInstanceUID == STUDY.study_instance_uid
        assert ds.PatientID == "PHANTOM-0001"

    def test_legacy_codes_are_the_same_concepts(self, tmp_path: Path, series: WrittenSeries) -> None:
        report = write_sr(tmp_path / "sr.dcm", STUDY, 0, [mark(series)], legacy_codes=True)
        (group,) = hd.sr.srread(report.path).content.get_image_measurement_groups()
        written = [m.name.scheme_designator for m in group.get_measurements()]
        assert written == ["SRT", "SRT"]
        assert list(scoords(group, Code("103339001", "SCT", ""))[0].GraphicData) == points(LONG)

    def test_refuses_a_single_line(self, tmp_path: Path, series: WrittenSeries) -> None:
        with pytest.raises(ValueError, match="expected a long and a short axis"):
            write_sr(tmp_path / "sr.dcm", STUDY, 0, [replace(mark(series), short_axis=None)])


class TestGsps:
    def test_two_polylines_in_pixel_units(self, tmp_path: Path, series: WrittenSeries) -> None:
        ds = dcmread(write_gsps(tmp_path / "pr.dcm", STUDY, 0, [mark(series, 2)]).path)
        (annotation,) = ds.GraphicAnnotationSequence
        lines = annotation.GraphicObjectSequence
        assert [list(line.GraphicData) for line in lines] == [points(LONG), points(SHORT)]
        assert {(line.GraphicType, line.GraphicAnnotationUnits) for line in lines} == {("POLYLINE", "PIXEL")}
        (image,) = annotation.ReferencedImageSequence
        assert image.ReferencedSOPInstanceUID == series.sop_instance_uids[2]
        assert annotation.GraphicLayer == ds.GraphicLayerSequence[0].GraphicLayer
        assert [text.UnformattedTextValue for text in annotation.TextObjectSequence][1:] == ["liver"]

    def test_is_a_valid_presentation_state(self, tmp_path: Path, series: WrittenSeries) -> None:
        ds = dcmread(write_gsps(tmp_path / "pr.dcm", STUDY, 0, [mark(series)]).path)
        # Type 1 attributes of PS3.3 A.33.1's mandatory modules.
        required = """
            ReferencedSeriesSequence DisplayedAreaSelectionSequence ContentLabel PresentationLUTShape
            PresentationCreationDate PresentationCreationTime GraphicLayerSequence RescaleIntercept"""
        assert [name for name in required.split() if name not in ds] == []
        assert ds.Modality == "PR"

    def test_ticks_lie_across_the_middle_and_are_short(self, tmp_path: Path, series: WrittenSeries) -> None:
        ticked = replace(mark(series), ticks=True)
        ds = dcmread(write_gsps(tmp_path / "pr.dcm", STUDY, 0, [ticked]).path)
        lines = [
            np.reshape(o.GraphicData, (2, 2)) for o in ds.GraphicAnnotationSequence[0].GraphicObjectSequence
        ]
        assert len(lines) == 4
        for axis, tick in zip(lines[:2], lines[2:], strict=True):
            assert tick.mean(axis=0) == pytest.approx(axis.mean(axis=0), abs=1e-4)
            assert np.linalg.norm(tick[1] - tick[0]) == pytest.approx(3.0, abs=1e-4)
            assert (tick[1] - tick[0]) @ (axis[1] - axis[0]) == pytest.approx(0, abs=1e-3)

    def test_one_annotation_an_image_holds_the_lines_of_all_its_marks(
        self, tmp_path: Path, series: WrittenSeries
    ) -> None:
        marks = [mark(series, 1), mark(series, 3), mark(series, 1, "lung")]
        report = write_gsps(tmp_path / "pr.dcm", STUDY, 0, marks, one_annotation_an_image=True)
        annotations = dcmread(report.path).GraphicAnnotationSequence
        assert [len(annotation.GraphicObjectSequence) for annotation in annotations] == [4, 2]

    def test_wrong_marks_can_be_written(self, tmp_path: Path, series: WrittenSeries) -> None:
        point = Axis(5, 5, 5, 5)
        wrong = [
            replace(mark(series), short_axis=None),
            replace(mark(series), long_axis=point, short_axis=point),
        ]
        ds = dcmread(write_gsps(tmp_path / "pr.dcm", STUDY, 0, wrong).path)
        counts = [len(a.GraphicObjectSequence) for a in ds.GraphicAnnotationSequence]
        assert counts == [1, 2]
        groups = hd.sr.srread(write_sr(tmp_path / "sr.dcm", STUDY, 0, wrong[1:]).path).content
        (group,) = groups.get_image_measurement_groups()
        assert group.get_measurements()[0].value == 0


@pytest.mark.parametrize("write", [write_sr, write_gsps])
def test_same_input_same_bytes_and_no_clock(tmp_path: Path, series: WrittenSeries, write: object) -> None:
    reports = [write(tmp_path / name, STUDY, 0, [mark(series)]) for name in ("a.dcm", "b.dcm")]  # type: ignore[operator]
    first, again = (report.path.read_bytes() for report in reports)
    assert first == again
    stamps = [
        str(element.value)
        for element in dcmread(reports[0].path).iterall()
        if element.VR in {"DA", "DT", "TM"} and element.keyword != "PatientBirthDate"
    ]
    assert stamps
    assert set(stamps) <= {"20120304", "101500", "20120304101500"}
