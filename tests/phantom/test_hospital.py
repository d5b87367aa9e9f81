"""A whole small hospital: what is on disk agrees with its truth, and the same seed gives the same bytes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.sr.coding import Code

from lesiongraph.errors import DiskFullError, UsageError, WorkspaceBusyError
from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom import generate_hospital, hospital
from lesiongraph.phantom import patient as patient_module
from lesiongraph.phantom.population import plan_patient
from lesiongraph.phantom.truth import read_table

# The seed gives six series: follow-up, two series in a study, two readers, SR and GSPS, labelled and not.
PATIENTS, SEED, ROWS = 4, 1536, 96


@dataclass(frozen=True)
class Hospital:
    folder: Path
    counts: dict[str, int]
    progress: list[tuple[str, int, int]]

    @property
    def truth(self) -> pd.DataFrame:
        return read_table(self.folder / "truth" / "truth.csv")

    @property
    def marks(self) -> pd.DataFrame:
        return self.truth[self.truth["marked"]]

    @property
    def slices(self) -> pd.DataFrame:
        return read_table(self.folder / "truth" / "series.csv")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Hospital:
    folder = tmp_path_factory.mktemp("hospital") / "out"
    progress: list[tuple[str, int, int]] = []
    counts = generate_hospital(
        folder, PATIENTS, SEED, rows=ROWS, workers=1, progress=lambda *call: progress.append(call)
    )
    return Hospital(folder, counts, progress)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class TestOnDisk:
    def test_counts_agree_with_the_files(self, small: Hospital) -> None:
        found: dict[str, set[str]] = {"CT": set(), "SR": set(), "PR": set()}
        studies, patients, series = set(), set(), set()
        for path in (small.folder / "dicom").rglob("*.dcm"):
            ds = dcmread(path, stop_before_pixels=True)
            found[ds.Modality].add(ds.SOPInstanceUID)
            studies.add(ds.StudyInstanceUID)
            patients.add(ds.PatientID)
            series |= {ds.SeriesInstanceUID} if ds.Modality == "CT" else set()
        seen = {
            "patients": len(patients),
            "studies": len(studies),
            "series": len(series),
            "slices": len(found["CT"]),
            "sr": len(found["SR"]),
            "gsps": len(found["PR"]),
        }
        assert seen == {name: small.counts[name] for name in seen}
        assert patients == {f"PHANTOM-{n:04d}" for n in range(1, PATIENTS + 1)}

    def test_truth_holds_no_dicom_and_says_what_it_is(self, small: Hospital) -> None:
        files = [path for path in (small.folder / "truth").rglob("*") if path.is_file()]
        assert {path.suffix for path in files} == {".csv", ".txt", ".json"}
        assert "Mining must never read" in (small.folder / "truth" / "README.txt").read_text()
        assert {path.name for path in small.folder.iterdir()} == {"dicom", "truth"}

    def test_progress_ends_with_all_patients(self, small: Hospital) -> None:
        assert small.progress == [("phantom", done, PATIENTS) for done in range(PATIENTS + 1)]

    def test_series_run_from_head_to_foot(self, small: Hospital) -> None:
        for _, one in small.slices.groupby("series_instance_uid"):
            assert list(one["slice_index"]) == list(range(len(one)))
            assert (np.diff(one["z01"]) > 0).all()
            assert one["z01"].between(0, 1).all()


class TestTruth:
    def test_sr_coordinates_are_those_of_the_truth(self, small: Hospital) -> None:
        rows = small.marks[small.marks["report_kind"] == "SR"].set_index("tracking_uid")
        assert rows.index.is_unique
        read = 0
        for path in sorted(set(rows["report_path"])):
            for group in hd.sr.srread(small.folder / path).content.get_image_measurement_groups():
                row = rows.loc[group.tracking_uid]
                for code, axis in (("103339001", "long"), ("103340004", "short")):
                    (measurement,) = group.get_measurements(name=Code(code, "SCT", ""))
                    (scoord,) = [i for i in measurement[0].ContentSequence if i.ValueType == "SCOORD"]
                    drawn = [row[f"{axis}_{end}"] + 0.5 for end in ("x0", "y0", "x1", "y1")]
                    assert list(scoord.GraphicData) == pytest.approx(drawn, abs=2e-5)
                    image = scoord.ContentSequence[0].ReferencedSOPSequence[0]
                    assert image.ReferencedSOPInstanceUID == row["sop_instance_uid"]
                sites = [site.value.meaning for site in group.finding_sites]
                assert bool(sites) == row["labelled"]
                read += 1
        assert read == len(rows) > 0

    def test_marks_refer_to_slices_of_their_series(self, small: Hospital) -> None:
        keys = ["series_instance_uid", "slice_index", "sop_instance_uid"]
        joined = small.marks.merge(small.slices, on=keys, how="left", indicator=True)
        assert (joined["_merge"] == "both").all()

    def test_marks_lie_on_their_lesion(self, small: Hospital) -> None:
        right = small.marks[small.marks["wrong_on_purpose"] == ""]
        centre = (right[["long_x0", "long_y0"]].to_numpy() + right[["long_x1", "long_y1"]].to_numpy()) / 2
        off_px = np.linalg.norm(centre - right[["x_px", "y_px"]].to_numpy(), axis=1)
        length_px = np.hypot(right["long_x1"] - right["long_x0"], right["long_y1"] - right["long_y0"])
        assert (off_px <= 2.5 + 0.25 * length_px).all()

    def test_lesion_is_denser_or_darker_where_the_mark_is(self, small: Hospital) -> None:
        """The stored pixels under a lung mark differ from lung: flips and offsets are consistent."""
        row = small.marks[(small.marks["type"] == "lung") & (small.marks["wrong_on_purpose"] == "")]
        row = row.sort_values("long_mm").iloc[-1]
        for path in (small.folder / row["report_path"]).parent.rglob("*.dcm"):
            ds = dcmread(path, stop_before_pixels=True)
            if ds.SOPInstanceUID == row["sop_instance_uid"]:
                ds = dcmread(path)
                hu = ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
                assert hu[round(row["y_px"]), round(row["x_px"])] > -700

    def test_identity_is_kept_over_studies_and_hidden_from_the_reports(self, small: Hospital) -> None:
        marks = small.marks[small.marks["lesion"] != ""]
        assert marks.groupby("lesion")["study_instance_uid"].nunique().max() > 1
        for _, same in marks.groupby("lesion"):
            assert same["type"].nunique() == 1
            uids = same.loc[same["tracking_uid"] != "", "tracking_uid"]
            assert uids.is_unique

    def test_the_planned_patients_are_labelled(self, small: Hospital) -> None:
        planned = sum(plan_patient(i, SEED).labelled for i in range(PATIENTS))
        assert small.counts["labelled_patients"] == planned

    def test_follow_up_is_one_to_four_months_apart(self, small: Hospital) -> None:
        for _, one in small.truth.groupby("patient_id"):
            days = pd.to_datetime(one["study_date"]).drop_duplicates().sort_values().diff().dt.days.dropna()
            assert days.between(30, 120).all()

    def test_types_are_the_paper_s(self, small: Hospital) -> None:
        assert set(small.truth["type"]) <= {*LESION_TYPES, ""}

    def test_not_every_lesion_is_marked(self, small: Hospital) -> None:
        assert small.counts["unmarked"] > 0
        assert small.truth.loc[~small.truth["marked"], "report_path"].eq("").all()


class TestRunAgain:
    def test_same_seed_same_bytes_in_two_processes_and_in_a_smaller_hospital(
        self, small: Hospital, tmp_path: Path
    ) -> None:
        generate_hospital(tmp_path / "again", 2, SEED, rows=ROWS, workers=2)
        again, wanted = digest(tmp_path / "again"), digest(small.folder)
        shared = [name for name in again if "PHANTOM" in name]
        assert {name.split("/")[1] for name in shared if "dicom" in name} == {"PHANTOM-0001", "PHANTOM-0002"}
        assert {name: again[name] for name in shared} == {name: wanted[name] for name in shared}

    def test_a_killed_run_goes_on_and_ends_the_same(self, small: Hospital, tmp_path: Path) -> None:
        copy = tmp_path / "killed"
        shutil.copytree(small.folder, copy)
        wanted = digest(copy)
        shutil.rmtree(copy / "dicom" / "PHANTOM-0002")  # its truth was written, its folder not yet moved
        (copy / "unfinished.part" / "PHANTOM-0002" / "half").mkdir(parents=True)
        (copy / "truth" / "truth.csv").unlink()
        kept = (copy / "dicom" / "PHANTOM-0001").stat().st_mtime_ns
        calls: list[tuple[str, int, int]] = []
        generate_hospital(
            copy, PATIENTS, SEED, rows=ROWS, workers=1, progress=lambda *call: calls.append(call)
        )
        assert digest(copy) == wanted
        assert calls[0] == ("phantom", PATIENTS - 1, PATIENTS)
        assert (copy / "dicom" / "PHANTOM-0001").stat().st_mtime_ns == kept

    def test_a_full_disk_is_said_and_leaves_finished_patients(
        self, small: Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copy = tmp_path / "full"
        shutil.copytree(small.folder, copy)
        shutil.rmtree(copy / "dicom" / "PHANTOM-0003")
        before = digest(copy)

        def no_space(*_: object) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(patient_module, "write_series", no_space)
        with pytest.raises(DiskFullError):
            generate_hospital(copy, PATIENTS, SEED, rows=ROWS, workers=1)
        assert digest(copy) == before
        assert not (copy / "unfinished.part").exists()

    def test_a_second_run_into_the_same_folder_is_refused(self, small: Hospital) -> None:
        with (small.folder / "truth" / "hospital.json").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with pytest.raises(WorkspaceBusyError):
                generate_hospital(small.folder, PATIENTS, SEED, rows=ROWS, workers=1)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"rng_seed": SEED + 1}, "rng_seed"),
            ({"rows": ROWS * 2}, "rows"),
            ({"patients": PATIENTS - 1}, "holds 4 patients already"),
        ],
    )
    def test_another_hospital_in_the_folder_is_refused(
        self, small: Hospital, change: dict[str, int], message: str
    ) -> None:
        arguments = {"patients": PATIENTS, "rng_seed": SEED, "rows": ROWS, "workers": 1} | change
        before = digest(small.folder)
        with pytest.raises(UsageError, match=message):
            generate_hospital(small.folder, **arguments)
        assert digest(small.folder) == before

    def test_other_files_in_the_folder_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("precious")
        with pytest.raises(UsageError, match="found other files"):
            generate_hospital(tmp_path, 1, 1)
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize(
        "arguments", [{"patients": 0}, {"rng_seed": -1}, {"rows": 32}, {"workers": 0}], ids=str
    )
    def test_numbers_out_of_range_are_refused(self, tmp_path: Path, arguments: dict[str, int]) -> None:
        with pytest.raises(UsageError, match="expected"):
            generate_hospital(tmp_path / "out", **({"patients": 1, "rng_seed": 1} | arguments))
        assert not (tmp_path / "out").exists()


def test_truth_is_merged_in_the_order_of_the_patients(small: Hospital) -> None:
    assert small.truth["patient_id"].drop_duplicates().is_monotonic_increasing
    assert hospital.STAGE == "phantom"
