"""A PACS → its mirror: objects with marks and headers first, then the pixels that the marks call for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from lesiongraph.mining.pacs.errors import PacsRefusedError, PacsUnreachableError
from lesiongraph.mining.pacs.mirror import Mirror, MirroredStudy, StudyState, name_of, write_dataset_file
from lesiongraph.mining.pacs.pacs import UNKNOWN, InstanceName, Mark, Pacs, SeriesEntry, StudyEntry
from lesiongraph.mining.result import MiningResult

Progress = Callable[[str, int, int], None]
# series row, its slices, the marks on it (kept and rejected) → slice indices whose pixels are needed
Wanted = Callable[[Mapping[str, object], pd.DataFrame, pd.DataFrame], Iterable[int]]
# One modality a search: a list of several silently finds nothing with some servers.
_MODALITIES = ("CT", *MARK_MODALITIES)
_WITHOUT_IMAGES = frozenset((*MARK_MODALITIES, "KO", "DOC", "OT", "REG"))  # of a study whose images are gone
_MOST_LISTINGS = 3


@dataclass
class Pulled:
    """What a run fetched of one source.

    Attributes
    ----------
    counts : Counter
    incomplete : str
        Why the source could not be read to its end, and where it stopped; "" where it was.
    """

    counts: Counter[str] = field(default_factory=Counter)
    incomplete: str = ""


class Demand(NamedTuple):
    """Whose marks and headers are fetched, how they are admitted, and which pixels they call for.

    `name` says in words which pixels `wanted` names: under another name, they are looked at anew.
    """

    window: DateWindow
    arrival: Arrival
    wanted: Wanted
    name: str
    roi_pattern: str | None = None

    @property
    def pixels(self) -> str:
        """What decides which pixels are needed."""
        return f"{self.name}; structures {self.roi_pattern or 'by the built-in rule'}"


def pull(pacs: Pacs, mirror: Mirror, demand: Demand, progress: Progress | None = None) -> Pulled:
    """Bring a mirror up to date; what was fetched before a failure stays, the next run goes on from there.

    Raises
    ------
    PacsUnreachableError, PacsRefusedError
        If the PACS gives nothing at all and the mirror is empty.
    """
    run = _Run(pacs, mirror, demand, progress)
    try:
        run.go()
    except (PacsUnreachableError, PacsRefusedError) as error:
        if not run.done and next(mirror.studies(), None) is None:
            raise
        run.pulled.incomplete = f"{error} Stopped after {run.done} of {run.total} studies to look at."
    finally:
        run.count_traffic()
    return run.pulled


class _Run:
    """One run over one source."""

    def __init__(self, pacs: Pacs, mirror: Mirror, demand: Demand, progress: Progress | None) -> None:
        self.pacs, self.mirror, self.demand = pacs, mirror, demand
        self.pulled = Pulled()
        self.done = self.total = 0
        self._tell = progress or (lambda _what, _done, _total: None)
        self._study_uids: dict[str, str] = {}  # name of a study here -> the PACS's own UID
        self._names: dict[str, dict[str, InstanceName]] = {}  # series -> instance -> names, of this study
        self._patients: dict[str, dict[str, bool]] = defaultdict(dict)  # patient -> study name -> waiting
        for study in mirror.studies():
            state = study.state()
            self._patients[state.patient][study.name] = state.waiting

    def go(self) -> None:
        """Fetch every study that may have changed, one after the other."""
        walk = f"{self.demand.window.dicom or 'all dates'}; {self.demand.pixels}"
        since = self.mirror.mark(walk)
        changes = self.pacs.changes(since) if since is not None else None
        # taken before any search: what arrives from here on is named by the log the next time
        head = changes.head if changes is not None else self.pacs.mark()
        todo = self._named(changes.studies) if changes else self._changed(self._listed(head))
        self.total = len(todo)
        refused: list[PacsRefusedError] = []
        for entry in todo:
            try:
                self._fetch(entry)
            except PacsRefusedError as error:
                if error.status in _NOBODY_MAY:
                    raise
                refused.append(error)
            self.done += 1
            self._tell("fetch studies", self.done, self.total)
        if refused:
            self.pulled.counts["PACS: studies refused"] += len(refused)
            self.pulled.incomplete = f"{len(refused)} of {self.total} studies were refused: {refused[0]}"
        else:
            self.mirror.save_mark(walk, head)

    def count_traffic(self) -> None:
        """Add what was moved to the counts."""
        traffic = self.pacs.traffic
        self.pulled.counts.update(
            {
                "PACS: requests": traffic.requests,
                "PACS: requests repeated": traffic.retries,
                "PACS: bytes received": traffic.bytes_received,
                "PACS: bytes decoded": traffic.bytes_decoded,
            }
        )

    # --- which studies --------------------------------------------------------------------------------

    def _listed(self, head: Mark | None) -> list[StudyEntry]:
        """Search for all studies of the window; again where pages may have shifted under new arrivals.

        One page cannot shift; nor can several while the log of changes stays at `head`.
        """
        found: dict[str, StudyEntry] = {}
        for modality in _MODALITIES:
            for _ in range(_MOST_LISTINGS):
                before, listed = found.keys() | set(), 0
                for entry in self.pacs.studies(self.demand.window, modality):
                    listed += 1
                    known = found.get(entry.study)
                    modalities = entry.modalities | {modality} | (known.modalities if known else frozenset())
                    found[entry.study] = replace(entry, modalities=modalities)
                    self._tell("search studies", len(found), max(len(found), 1))
                if listed < self.pacs.page_size or found.keys() == before:
                    break
                if head is not None and self.pacs.mark() == head:
                    break
        return list(found.values())

    def _changed(self, entries: Sequence[StudyEntry]) -> list[StudyEntry]:
        """Keep the studies that may hold marks and are not here as the PACS states them."""
        counts = self.pulled.counts
        todo = []
        for entry in entries:
            if not _may_hold_marks(entry):
                counts["PACS: studies without CT passed over"] += 1
                continue
            counts["PACS: studies seen"] += 1
            if self._is_here(entry):
                counts["PACS: studies unchanged"] += 1
                continue
            todo.append(entry)
        return todo

    def _named(self, studies: Sequence[str]) -> list[StudyEntry]:
        """Look up the studies that the log of changes names; those of the window may be fetched."""
        found = []
        for entry, date in self.pacs.studies_named(studies=studies):
            if self.demand.window.holds(date) and _may_hold_marks(entry):
                self.pulled.counts["PACS: studies seen"] += 1
                found.append(entry)
        return found

    def _is_here(self, entry: StudyEntry) -> bool:
        study = self.mirror.study(self.demand.arrival.uid(entry.study))
        if not study.is_done or UNKNOWN in (entry.series, entry.instances):
            return False
        state = study.state()
        stated = (entry.series, entry.instances, sorted(entry.modalities), self.demand.pixels)
        return (state.series, state.instances, state.modalities, state.demand) == stated

    # --- one study ------------------------------------------------------------------------------------

    def _fetch(self, entry: StudyEntry) -> None:
        """Fetch one study in two passes: what the marks are, then the pixels that they call for."""
        study = self.mirror.study(self.demand.arrival.uid(entry.study))
        self._study_uids[study.name] = entry.study
        self._names.clear()
        state = study.state()
        before = sum(self.pulled.counts[name] for name in _FETCHED)
        series = self.pacs.series(entry.study)
        for one in series:
            if one.modality in MARK_MODALITIES:
                self._fetch_objects(study, entry, one)
            elif one.modality == "CT":
                self._fetch_headers(study, state, entry, one)
        state = replace(
            state,
            patient=self._patient(study) or state.patient,
            series=entry.series,
            instances=entry.instances,
            modalities=sorted(entry.modalities),
            demand=self.demand.pixels,
        )
        state.waiting = self._fetch_pixels(study, state, entry, series)
        if not study.is_done or sum(self.pulled.counts[name] for name in _FETCHED) > before:
            state.version += 1
        study.save_state(state)
        self._patients[state.patient][study.name] = state.waiting
        self.pulled.counts["PACS: studies fetched"] += 1

    def _fetch_objects(self, study: MirroredStudy, entry: StudyEntry, series: SeriesEntry) -> None:
        """Fetch the objects of a series that are not here, whole."""
        uid = self.demand.arrival.uid
        names = self.pacs.instance_names(entry.study, series.series)
        missing = [name for name in names if not study.object_path(uid(name.instance)).exists()]
        for name, dataset in self.pacs.instances(missing):
            if dataset is None:
                self.pulled.counts["PACS: objects gone"] += 1
                continue
            self._keep(dataset, study.object_path(uid(name.instance)), _OBJECTS)

    def _keep(self, dataset: Dataset, path: Path, kind: str) -> None:
        """Admit an object and write it; one that cannot be written is counted, and the others go on."""
        try:
            write_dataset_file(path, self.demand.arrival.admit(dataset))
        except (LesionGraphError, OSError):
            raise
        except Exception:  # pydicom raises many kinds on values that it read and cannot write
            self.pulled.counts["PACS: objects that cannot be kept"] += 1
            return
        self.pulled.counts[kind] += 1

    def _fetch_headers(
        self, study: MirroredStudy, state: StudyState, entry: StudyEntry, series: SeriesEntry
    ) -> None:
        """Fetch the headers of a series, unless it is here with as many images as the PACS states."""
        uid = self.demand.arrival.uid
        admitted_series = uid(series.series)
        known = state.counts.get(name_of(admitted_series), UNKNOWN)
        if study.has_headers(admitted_series) and series.instances == known != UNKNOWN:
            return
        headers = self.pacs.headers(entry.study, series.series)
        self._names[admitted_series] = {
            uid(own): InstanceName(entry.study, series.series, own)
            for own in (values.text(header, "SOPInstanceUID") for header in headers)
        }
        study.add_headers(admitted_series, [self.demand.arrival.admit(header) for header in headers])
        state.counts[name_of(admitted_series)] = series.instances
        self.pulled.counts[_HEADERS] += len(headers)

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

    def _fetch_pixels(
        self, study: MirroredStudy, state: StudyState, entry: StudyEntry, series: Sequence[SeriesEntry]
    ) -> bool:
        """Fetch the slices that this study's marks call for; whether marks still wait for their image.

        Where a mark's image is in none of its series, the patient's other studies are looked at, and the
        headers of the series that are no CT, so that the mark's reason says what its image is.
        """
        found = self._marks([study])
        waiting = _waits(found)
        if waiting and (others := [s for s in series if s.modality not in _MODALITIES]):
            for one in others:
                self._fetch_headers(study, state, entry, one)
            found = self._marks([study])
            waiting = _waits(found)
        family = list(self._family(study, state, waiting))
        if family:
            found = self._marks([study, *family])
            waiting = _waits(found)
        for holder in [study, *family]:
            fetched = self._fetch_wanted(holder, found, entry.patient_id)
            if holder is not study and fetched:
                known = holder.state()
                known.version += 1
                holder.save_state(known)
        return waiting

    def _family(self, study: MirroredStudy, state: StudyState, waiting: bool) -> Iterator[MirroredStudy]:
        """Yield the patient's other studies here, where marks of this one wait, or theirs do."""
        others = {n: w for n, w in self._patients.get(state.patient, {}).items() if n != study.name}
        if state.patient and (waiting or any(others.values())):
            yield from map(self.mirror.study_named, others)

    def _marks(self, studies: Sequence[MirroredStudy]) -> MiningResult:
        return mine_dicom([], studies, roi_pattern=self.demand.roi_pattern)

    def _fetch_wanted(self, study: MirroredStudy, found: MiningResult, patient_id: str) -> int:
        """Fetch the pixels that marks call for in one study; return how many slices."""
        wanted = list(self._wanted(study, found))
        if not wanted:
            return 0
        uid = self.demand.arrival.uid
        before = self.pulled.counts[_SLICES]
        names = self._own_names(study, {series for series, _ in wanted}, patient_id)
        missing = [names[instance] for _, instance in wanted if instance in names]
        gone = len(wanted) - len(missing)
        for name, dataset in self.pacs.instances(missing):
            if dataset is None:
                gone += 1
                continue
            self._keep(dataset, study.image_path(uid(name.instance)), _SLICES)
        if gone:
            self.pulled.counts["PACS: slices gone"] += gone
        return self.pulled.counts[_SLICES] - before

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

    def _own_names(self, study: MirroredStudy, series: set[str], patient_id: str) -> dict[str, InstanceName]:
        """Return the PACS's names of the instances of admitted series, by admitted UID.

        The mirror keeps no identifier that the arrival took away, so the PACS is asked for them again.
        """
        uid = self.demand.arrival.uid
        if unknown := series - self._names.keys():
            own = self._study_uids.get(study.name) or self._find_study(study, patient_id)
            for one in self.pacs.series(own) if own is not None else ():
                if uid(one.series) in unknown:
                    names = self.pacs.instance_names(own or "", one.series)
                    self._names[uid(one.series)] = {uid(name.instance): name for name in names}
        return {k: name for one in series for k, name in self._names.get(one, {}).items()}

    def _find_study(self, study: MirroredStudy, patient_id: str) -> str | None:
        for entry, _ in self.pacs.studies_named(patient_id=patient_id) if patient_id else ():
            name = self.mirror.study(self.demand.arrival.uid(entry.study)).name
            self._study_uids[name] = entry.study
        return self._study_uids.get(study.name)


_OBJECTS = "PACS: objects fetched"
_HEADERS = "PACS: headers fetched"
_SLICES = "PACS: slices fetched"
_FETCHED = (_OBJECTS, _HEADERS, _SLICES)
_NOBODY_MAY = (401, 403)  # then asking for the next study does not help


def _may_hold_marks(entry: StudyEntry) -> bool:
    """Whether a study holds CT, or objects with marks alone: then its images are gone, and its marks stay."""
    if "CT" in entry.modalities or not entry.modalities:
        return True
    return bool(entry.modalities & set(MARK_MODALITIES)) and entry.modalities <= _WITHOUT_IMAGES


def _patient_id(path: Path) -> str:
    with values.lenient_reading():
        return values.text(pydicom.dcmread(path, specific_tags=["PatientID"]), "PatientID")


def _waits(found: MiningResult) -> bool:
    return bool((found.lesions.reason == IMAGE_NOT_FOUND).any())
