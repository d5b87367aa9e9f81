"""One study of a PACS → its folder in the mirror, in two passes: what the marks are, then their pixels.

What cannot be had of a study (an object that comes damaged, a search that fails) leaves the rest of it
untouched: it is counted, its cause is kept, and the study is asked for again by the next run.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pydicom
from pydicom import Dataset

from lesiongraph.errors import LesionGraphError
from lesiongraph.mining import dicom_values as values
from lesiongraph.mining.arrival import Arrival
from lesiongraph.mining.dicom_folder import mine_dicom
from lesiongraph.mining.dicom_header import MARK_MODALITIES
from lesiongraph.mining.dicom_scan import IMAGE_NOT_FOUND
from lesiongraph.mining.pacs.address import DateWindow
from lesiongraph.mining.pacs.errors import (
    PacsAnswerTooLargeError,
    PacsError,
    PacsRefusedError,
    PacsUnreachableError,
)
from lesiongraph.mining.pacs.mirror import (
    Mirror,
    MirroredStudy,
    StudyState,
    encoded,
    name_of,
    write_dataset_file,
)
from lesiongraph.mining.pacs.pacs import UNKNOWN, InstanceName, Pacs, Received, SeriesEntry, StudyEntry
from lesiongraph.mining.result import MiningResult

# series row, its slices, the marks on it (kept and rejected) → slice indices whose pixels are needed
Wanted = Callable[[Mapping[str, object], pd.DataFrame, pd.DataFrame], Iterable[int]]
# One modality a search: a list of several silently finds nothing with some servers.
MODALITIES = ("CT", *MARK_MODALITIES)
_NOBODY_MAY = (401, 403)  # then asking for anything else does not help
_MOST_FAILURES = 3  # ours: objects in a row that fail before a study's other objects of the kind are left


class Demand(NamedTuple):
    """Whose marks and headers are fetched, how they are admitted, and which pixels they call for.

    `name` says in words which pixels `wanted` names: under another name, they are looked at anew.
    A PACS of which something could not be had is searched anew for it at the earliest `again_after_s` after
    the last time.
    """

    window: DateWindow
    arrival: Arrival
    wanted: Wanted
    name: str
    roi_pattern: str | None = None
    again_after_s: float = 0.0

    @property
    def pixels(self) -> str:
        """What decides which pixels are needed."""
        return f"{self.name}; structures {self.roi_pattern or 'by the built-in rule'}"


class Fetched(NamedTuple):
    """What came of one study: how many whole objects and slices, and why others did not come."""

    instances: int
    causes: list[PacsError]


class StudyFetcher:
    """Fetches studies one after the other.

    Parameters
    ----------
    pacs : Pacs
    mirror : Mirror
    demand : Demand
    counts : Counter
        Counted into.
    """

    def __init__(self, pacs: Pacs, mirror: Mirror, demand: Demand, counts: Counter[str]) -> None:
        self.pacs, self.mirror, self.demand, self.counts = pacs, mirror, demand, counts
        self._study_uids: dict[str, str] = {}  # name of a study here -> the PACS's own UID
        self._names: dict[str, dict[str, InstanceName]] = {}  # series -> instance -> names, of this study
        self._patients: dict[str, dict[str, bool]] = defaultdict(dict)  # patient -> study name -> waiting
        self._entry: StudyEntry  # the study that is fetched
        self._causes: list[PacsError] = []  # why something of it could not be had
        for study in mirror.studies():
            state = study.state()
            self._patients[state.patient][study.name] = state.waiting

    def fetch(self, entry: StudyEntry) -> Fetched:
        """Fetch one study, or what of it is not here; what cannot be had is told, and the rest comes.

        Raises
        ------
        PacsUnreachableError, PacsRefusedError
            If the PACS is gone, or lets nobody in.
        """
        study = self.mirror.study(self.demand.arrival.uid(entry.study))
        self._entry, self._causes = entry, []
        self._study_uids[study.name] = entry.study
        self._names.clear()
        state = study.state()
        before, headers_before = self._instances(), self.counts[_HEADERS]
        series: list[SeriesEntry] = []
        with self._passing_over("series"):
            series = self.pacs.series(entry.study)
        for one in series:
            with self._passing_over("series"):
                if one.modality in MARK_MODALITIES:
                    self._fetch_objects(study, one)
                elif one.modality == "CT":
                    self._fetch_headers(study, state, one)
        state = replace(
            state,
            patient=self._patient(study) or state.patient,
            series=entry.series,
            instances=entry.instances,
            modalities=sorted(entry.modalities),
            demand=self.demand.pixels,
        )
        state.waiting = self._fetch_pixels(study, state, series)
        fetched = Fetched(self._instances() - before, self._causes)
        state.lacks_some = bool(fetched.causes)
        if not study.is_done or fetched.instances or self.counts[_HEADERS] > headers_before:
            state.version += 1
        study.save_state(state)
        self._patients[state.patient][study.name] = state.waiting
        if fetched.instances or not fetched.causes:
            self.counts["PACS: studies fetched"] += 1
        return fetched

    def _instances(self) -> int:
        return self.counts[_OBJECTS] + self.counts[_SLICES]

    # --- what cannot be had ---------------------------------------------------------------------------

    @contextmanager
    def _passing_over(self, what: str) -> Iterator[None]:
        """Go on after what a block asks for could not be had."""
        try:
            yield
        except PacsError as error:
            self._failed(what, error)

    def _failed(self, what: str, error: PacsError) -> None:
        """Count what could not be had, unless the PACS itself is gone or lets nobody in."""
        if isinstance(error, PacsRefusedError) and error.status in _NOBODY_MAY:
            raise error
        if isinstance(error, PacsUnreachableError):
            for _ in self.pacs.studies_named(studies=[self._entry.study]):  # raises where it is gone
                pass
        self._causes.append(error)
        self.counts[f"PACS: {what} that could not be had"] += 1

    def _receive(
        self, asked: Iterable[Received], number: int, what: str
    ) -> Iterator[tuple[InstanceName, Dataset]]:
        """Yield those of `number` asked for that come; count what is gone, and what could not be had."""
        failed_in_a_row = 0
        for place, (name, dataset, cause) in enumerate(asked, start=1):
            if dataset is not None:
                failed_in_a_row = 0
                yield name, dataset
            elif cause is None:
                self.counts[f"PACS: {what} gone"] += 1
            elif isinstance(cause, PacsAnswerTooLargeError):
                self.counts[f"PACS: {what} too large"] += 1
            else:
                self._failed(what, cause)
                failed_in_a_row += 1
                if failed_in_a_row == _MOST_FAILURES:
                    self.counts[f"PACS: {what} that could not be had"] += max(0, number - place)
                    return

    # --- marks and headers ----------------------------------------------------------------------------

    def _fetch_objects(self, study: MirroredStudy, series: SeriesEntry) -> None:
        """Fetch the objects of a series that are not here, whole."""
        uid = self.demand.arrival.uid
        names = self.pacs.instance_names(self._entry.study, series.series)
        missing = [name for name in names if not study.object_path(uid(name.instance)).exists()]
        for name, dataset in self._receive(self.pacs.instances(missing), len(missing), "objects"):
            self._keep(dataset, study.object_path(uid(name.instance)), _OBJECTS)

    def _keep(self, dataset: Dataset, path: Path, kind: str) -> None:
        """Admit an object and write it."""
        with self._leaving_out("objects"):
            write_dataset_file(path, self.demand.arrival.admit(dataset))
            self.counts[kind] += 1

    @contextmanager
    def _leaving_out(self, what: str) -> Iterator[None]:
        """Count what cannot be admitted or written, and go on with the others."""
        try:
            yield
        except (LesionGraphError, OSError):
            raise
        except Exception:  # pydicom raises many kinds on values that it read and cannot write
            self.counts[f"PACS: {what} that cannot be kept"] += 1

    def _fetch_headers(self, study: MirroredStudy, state: StudyState, series: SeriesEntry) -> None:
        """Fetch the headers of a series, unless it is here with as many images as the PACS states."""
        uid = self.demand.arrival.uid
        admitted_series = uid(series.series)
        known = state.counts.get(name_of(admitted_series), UNKNOWN)
        if study.has_headers(admitted_series) and series.instances == known != UNKNOWN:
            return
        failed = len(self._causes)
        listed = self.pacs.headers(self._entry.study, series.series)
        headers = [header for _, header in self._receive(listed, series.instances, "headers")]
        own_uids = [values.text(header, "SOPInstanceUID") for header in headers]
        if own_uids:  # else its images, whose headers may be here from before, are asked for by name
            self._names[admitted_series] = {
                uid(own): InstanceName(self._entry.study, series.series, own) for own in own_uids
            }
        kept: dict[str, bytes] = {}
        for header in headers:
            with self._leaving_out("headers"):
                admitted = self.demand.arrival.admit(header)
                kept[values.text(admitted, "SOPInstanceUID")] = encoded(admitted)
                self.counts[_HEADERS] += 1
        study.add_headers(admitted_series, kept)
        if len(self._causes) == failed:
            state.counts[name_of(admitted_series)] = series.instances

    def _patient(self, study: MirroredStudy) -> str:
        """Return the name of the study's admitted patient id, from the first header or object with one."""
        for dataset, _ in study.images():
            if patient_id := values.text(dataset, "PatientID"):
                return name_of("patient", patient_id)
        for path in study.object_files():
            if patient_id := _patient_id(path):
                return name_of("patient", patient_id)
        return ""

    # --- pixels ---------------------------------------------------------------------------------------

    def _fetch_pixels(self, study: MirroredStudy, state: StudyState, series: Sequence[SeriesEntry]) -> bool:
        """Fetch the slices that this study's marks call for; whether marks still wait for their image.

        Where a mark's image is in none of its series, the patient's other studies are looked at, and the
        headers of the series that are no CT, so that the mark's reason says what its image is.
        """
        found = self._marks([study])
        waiting = _waits(found)
        if waiting and (others := [s for s in series if s.modality not in MODALITIES]):
            for one in others:
                with self._passing_over("series"):
                    self._fetch_headers(study, state, one)
            found = self._marks([study])
            waiting = _waits(found)
        family = list(self._family(study, state, waiting))
        if family:
            found = self._marks([study, *family])
            waiting = _waits(found)
        for holder in [study, *family]:
            failed, fetched = len(self._causes), self.counts[_SLICES]
            with self._passing_over("series"):
                self._fetch_wanted(holder, found)
            failed, fetched = len(self._causes) - failed, self.counts[_SLICES] - fetched
            if holder is not study and (failed or fetched):
                known = holder.state()
                known.version += bool(fetched)
                known.lacks_some |= failed > 0
                holder.save_state(known)
        return waiting

    def _family(self, study: MirroredStudy, state: StudyState, waiting: bool) -> Iterator[MirroredStudy]:
        """Yield the patient's other studies here, where marks of this one wait, or theirs do."""
        others = {n: w for n, w in self._patients.get(state.patient, {}).items() if n != study.name}
        if state.patient and (waiting or any(others.values())):
            yield from map(self.mirror.study_named, others)

    def _marks(self, studies: Sequence[MirroredStudy]) -> MiningResult:
        return mine_dicom([], studies, roi_pattern=self.demand.roi_pattern)

    def _fetch_wanted(self, study: MirroredStudy, found: MiningResult) -> None:
        """Fetch the pixels that marks call for in one study."""
        wanted = list(self._wanted(study, found))
        if not wanted:
            return
        uid = self.demand.arrival.uid
        names = self._own_names(study, {series for series, _ in wanted})
        missing = [names[instance] for _, instance in wanted if instance in names]
        if gone := len(wanted) - len(missing):
            self.counts["PACS: slices gone"] += gone
        for name, dataset in self._receive(self.pacs.instances(missing), len(missing), "slices"):
            self._keep(dataset, study.image_path(uid(name.instance)), _SLICES)

    def _wanted(self, study: MirroredStudy, found: MiningResult) -> Iterator[tuple[str, str]]:
        """Yield (series, instance), admitted UIDs, of the slices of a study that are needed and not here."""
        on_images = found.lesions[found.lesions.slice_index >= 0]
        rows = found.series.set_index("series_instance_uid", drop=False)
        for series, marks in on_images.groupby("series_instance_uid"):
            if self.mirror.study(str(rows.loc[series].study_instance_uid)).name != study.name:
                continue
            slices = found.slices[found.slices.series_instance_uid == series].sort_values("slice_index")
            chosen = set(self.demand.wanted(rows.loc[series].to_dict(), slices, marks))
            needed = slices[slices.slice_index.isin(chosen)]
            for instance in dict.fromkeys(needed.sop_instance_uid):  # frames share one
                if not study.image_path(instance).exists():
                    yield str(series), str(instance)

    def _own_names(self, study: MirroredStudy, series: set[str]) -> dict[str, InstanceName]:
        """Return the PACS's names of the instances of admitted series, by admitted UID.

        The mirror keeps no identifier that the arrival took away, so the PACS is asked for them again.
        """
        uid = self.demand.arrival.uid
        if unknown := series - self._names.keys():
            own = self._study_uids.get(study.name) or self._find_study(study)
            for one in self.pacs.series(own) if own is not None else ():
                if uid(one.series) in unknown:
                    names = self.pacs.instance_names(own or "", one.series)
                    self._names[uid(one.series)] = {uid(name.instance): name for name in names}
        return {k: name for one in series for k, name in self._names.get(one, {}).items()}

    def _find_study(self, study: MirroredStudy) -> str | None:
        patient_id = self._entry.patient_id
        for entry, _ in self.pacs.studies_named(patient_id=patient_id) if patient_id else ():
            name = self.mirror.study(self.demand.arrival.uid(entry.study)).name
            self._study_uids[name] = entry.study
        return self._study_uids.get(study.name)


_OBJECTS = "PACS: objects fetched"
_HEADERS = "PACS: headers fetched"
_SLICES = "PACS: slices fetched"


def _patient_id(path: Path) -> str:
    with values.lenient_reading():
        return values.text(pydicom.dcmread(path, specific_tags=["PatientID"]), "PatientID")


def _waits(found: MiningResult) -> bool:
    return bool((found.lesions.reason == IMAGE_NOT_FOUND).any())
