"""A PACS → its mirror: which studies may have changed, and what happens when the PACS fails.

One study after the other is fetched (`study_fetcher`). A PACS that is gone ends the run, and the next one
goes on from there. A PACS that answers, and yet cannot give an object or a study, ends nothing: what else
there is comes, and the next run asks for the rest again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from lesiongraph.mining.dicom_header import MARK_MODALITIES
from lesiongraph.mining.pacs.errors import PacsError, PacsRefusedError, PacsUnreachableError
from lesiongraph.mining.pacs.mirror import Mirror, MirroredStudy, Walk
from lesiongraph.mining.pacs.pacs import UNKNOWN, Mark, Pacs, StudyEntry
from lesiongraph.mining.pacs.study_fetcher import MODALITIES, Demand, StudyFetcher

Progress = Callable[[str, int, int], None]
_WITHOUT_IMAGES = frozenset((*MARK_MODALITIES, "KO", "DOC", "OT", "REG"))  # of a study whose images are gone
_MOST_LISTINGS = 3
_MOST_FAILURES = 5  # ours: studies in a row of which nothing came, before the PACS is left alone


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
        self._fetcher = StudyFetcher(pacs, mirror, demand, self.pulled.counts)

    def go(self) -> None:
        """Fetch every study that may have changed, one after the other."""
        name = f"{self.demand.window.dicom or 'all dates'}; {self.demand.pixels}"
        last = self.mirror.walk(name)
        changes = self.pacs.changes(last.mark) if last.mark is not None else None
        # taken before any search: what arrives from here on is named by the log the next time
        head = changes.head if changes is not None else self.pacs.mark()
        todo = {entry.study: entry for entry in self._named(changes.studies)} if changes else {}
        now_s = time.time()
        search = changes is None or (last.lacks_some and now_s - last.searched_s >= self.demand.again_after_s)
        if search:
            listed = [entry for entry in self._listed(head) if entry.study not in todo]
            todo |= {entry.study: entry for entry in self._changed(listed)}
        lacks_some = self._fetch_all(todo.values()) or (last.lacks_some and not search)
        self.mirror.save_walk(name, Walk(head, lacks_some, now_s if search else last.searched_s))

    def _fetch_all(self, entries: Iterable[StudyEntry]) -> bool:
        """Fetch studies; whether something of them could not be had, though the PACS is there.

        Those that were not had whole before come last: what is new does not wait for them.

        Raises
        ------
        PacsUnreachableError, PacsRefusedError
            If the PACS is gone, or lets nobody in.
        """
        todo = sorted(entries, key=lambda entry: self._study(entry).state().lacks_some)
        self.total = len(todo)
        causes: list[PacsError] = []
        nothing_in_a_row = 0
        for entry in todo:
            fetched = self._fetcher.fetch(entry)
            self.done += 1
            self._tell("fetch studies", self.done, self.total)
            causes += fetched.causes[:1]
            if fetched.instances:
                nothing_in_a_row = 0
            elif fetched.causes:
                nothing_in_a_row += 1
            if nothing_in_a_row == _MOST_FAILURES:
                break
        if causes:
            self.pulled.counts["PACS: studies not read whole"] += len(causes)
            self.pulled.incomplete = (
                f"{len(causes)} of {self.total} studies could not be read whole, and are asked for again by "
                f"the next run: {causes[0]}"
            )
        if left := self.total - self.done:
            self.pulled.counts["PACS: studies not asked for"] += left
            self.pulled.incomplete += (
                f" Nothing came of {nothing_in_a_row} in a row: {left} more were left for the next run."
            )
        return bool(causes)

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
        for modality in MODALITIES:
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
        study = self._study(entry)
        if not study.is_done or UNKNOWN in (entry.series, entry.instances):
            return False
        state = study.state()
        if state.lacks_some:
            return False
        stated = (entry.series, entry.instances, sorted(entry.modalities), self.demand.pixels)
        return (state.series, state.instances, state.modalities, state.demand) == stated

    def _study(self, entry: StudyEntry) -> MirroredStudy:
        return self.mirror.study(self.demand.arrival.uid(entry.study))


def _may_hold_marks(entry: StudyEntry) -> bool:
    """Whether a study holds CT, or objects with marks alone: then its images are gone, and its marks stay."""
    if "CT" in entry.modalities or not entry.modalities:
        return True
    return bool(entry.modalities & set(MARK_MODALITIES)) and entry.modalities <= _WITHOUT_IMAGES
