"""What a run of `mine` reads, cut into portions: a PACS's studies do not fit in memory all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lesiongraph.mining import PATIENTS_READ, MiningResult, mine_sources
from lesiongraph.mining.pacs import MirroredStudy
from lesiongraph.pipeline.marks_on_images import series_burned_in
from lesiongraph.pipeline.pacs_source import MirroredSource
from lesiongraph.pipeline.progress import Progress

STUDIES_AT_ONCE = 100  # ours: some ten thousand slices, and a write to the database each minute


@dataclass(frozen=True)
class Portion:
    """What is read and put into the catalogue at once: paths, and patients of mirrors with their studies."""

    paths: Sequence[Path]
    patients: Sequence[Sequence[MirroredStudy]] | None = None  # None: no PACS is among the sources

    def read(self, roi_pattern: str | None, progress: Progress) -> MiningResult:
        """Read it into tables."""
        return mine_sources(self.paths, mirrored=self.patients, roi_pattern=roi_pattern, progress=progress)


def portions(paths: Sequence[Path], mirrors: Sequence[MirroredSource]) -> list[Portion]:
    """Return what is to be read, at least one portion; beside paths all of it at once, as one archive."""
    patients = [patient for mirror in mirrors for patient in mirror.patients()] if mirrors else None
    if paths or not patients:
        return [Portion(paths, patients)]
    found: list[Portion] = []
    held: list[Sequence[MirroredStudy]] = []
    for studies in patients:
        held.append(studies)
        if sum(map(len, held)) >= STUDIES_AT_ONCE:
            found.append(Portion((), held))
            held = []
    return [*found, Portion((), held)] if held else found


def joined(several: Iterable[Portion]) -> Portion:
    """Return several portions as one."""
    several = list(several)
    patients = [patient for portion in several for patient in portion.patients or ()]
    return Portion([path for portion in several for path in portion.paths], patients)


@dataclass
class Tally:
    """What a run has found so far, without the tables."""

    counts: Counter[str] = field(default_factory=Counter)
    lesion_ids: set[str] = field(default_factory=set)
    burned_in: set[str] = field(default_factory=set)  # series
    rows_written: Counter[str] = field(default_factory=Counter)
    patients: int = 0

    def take(self, found: MiningResult, portion: Portion) -> None:
        """Count what a portion gave."""
        self.counts.update(found.counts)
        self.lesion_ids.update(found.lesions.lesion_id)
        self.burned_in.update(series_burned_in(found.series))
        self.patients += len(portion.patients or ())

    def shown(self, progress: Progress, several: Iterable[Portion]) -> Progress:
        """Return how one of several portions tells its progress: in patients of all of them."""
        patients = sum(len(portion.patients or ()) for portion in several)

        def show(what: str, done: int, _total: int) -> None:
            if what == PATIENTS_READ:
                progress(what, self.patients + done, patients)

        return show
