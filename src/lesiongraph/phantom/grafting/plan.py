"""Virtual patients: which background, which lesions, which studies; drawn from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.difficulty import PLAIN
from lesiongraph.phantom.grafting.prepared import Offer
from lesiongraph.phantom.population import (
    DAYS_PER_MONTH,
    FIRST_DATE,
    FOLLOW_UP_DAYS,
    GROWTH_DEVIATION,
    GROWTH_PER_MONTH,
    LAST_FIRST_DATE,
    TYPE_FRACTIONS,
    Visit,
    draw_long_axis_mm,
)

STUDY_COUNTS = {1: 0.35, 2: 0.4, 3: 0.25}
LESION_COUNTS = {3: 0.2, 4: 0.25, 5: 0.25, 6: 0.2, 7: 0.1}
TYPE_POWER = 0.5  # the paper's shares flattened: rare types would otherwise be too few to score
LATE_PROBABILITY = 0.15
ATTENTION = 0.95
PREFIX = "IMPLANT"


@dataclass(frozen=True)
class CohortOptions:
    """What makes a cohort beside the number of its patients."""

    folders: tuple[Path, ...]
    rng_seed: int
    leave_out: tuple[str, ...] = ()
    open_licence_only: bool = False
    smallest_matrix: int = 256


@dataclass(frozen=True)
class WantedLesion:
    """A lesion before it has a site."""

    type: str
    long_axis_mm: float
    first_study: int
    growth_per_month: float


@dataclass(frozen=True)
class VirtualPatient:
    """Everything about a virtual patient that is decided before his background is opened."""

    index: int
    patient_id: str
    labelled: bool
    series_uid: str  # of the background
    visits: tuple[Visit, ...]
    wanted: tuple[WantedLesion, ...]


def patient_id_of(index: int) -> str:
    """IMPLANT-0001 for index 0."""
    return f"{PREFIX}-{index + 1:04d}"


def plan_patient(index: int, rng_seed: int, offers: Sequence[Offer]) -> VirtualPatient:
    """Plan one virtual patient; depends on the numbers and the backgrounds, not on how many patients."""
    rng = np.random.default_rng([rng_seed, index, 50])
    offer = _background(index, rng_seed, offers, rng)
    visits = _visits(rng)
    labelled, block = PLAIN.labelled_of_block
    return VirtualPatient(
        index=index,
        patient_id=patient_id_of(index),
        labelled=_dealt(index, rng_seed, block, 51) < labelled,
        series_uid=offer.uid,
        visits=visits,
        wanted=_wanted(offer, len(visits), rng),
    )


def _dealt(index: int, rng_seed: int, block: int, stream: int) -> int:
    """Return which card of a shuffled block a patient gets: each once in a block, whatever the seed."""
    order = np.random.default_rng([rng_seed, index // block, stream]).permutation(block)
    return int(order[index % block])


def _background(index: int, rng_seed: int, offers: Sequence[Offer], rng: np.random.Generator) -> Offer:
    """Deal the real patients in turn; of a patient's series the longer is taken more often."""
    names = sorted({offer.background for offer in offers})
    name = names[_dealt(index, rng_seed, len(names), 52)]
    series = [offer for offer in offers if offer.background == name]
    slices = np.array([offer.slices for offer in series], float)
    return series[int(rng.choice(len(series), p=slices / slices.sum()))]


def _visits(rng: np.random.Generator) -> tuple[Visit, ...]:
    count = int(rng.choice(list(STUDY_COUNTS), p=list(STUDY_COUNTS.values())))
    start = day = FIRST_DATE + timedelta(days=int(rng.integers(0, (LAST_FIRST_DATE - FIRST_DATE).days)))
    visits = []
    for number in range(1, count + 1):
        visits.append(
            Visit(
                number=number,
                date=day,
                time=f"{rng.integers(7, 18):02d}{rng.integers(0, 60):02d}00",
                months=(day - start).days / DAYS_PER_MONTH,
                report_kind="SR",
                readers=(int(rng.integers(0, 8)),),
                series=1,
            )
        )
        day += timedelta(days=int(rng.integers(FOLLOW_UP_DAYS[0], FOLLOW_UP_DAYS[1] + 1)))
    return tuple(visits)


def _wanted(offer: Offer, studies: int, rng: np.random.Generator) -> tuple[WantedLesion, ...]:
    types = [kind for kind in LESION_TYPES if offer.voxels[kind]]
    weights = np.array([TYPE_FRACTIONS[kind] ** TYPE_POWER for kind in types])
    response = GROWTH_PER_MONTH[str(rng.choice(list(GROWTH_PER_MONTH), p=[0.4, 0.35, 0.25]))]
    wanted = []
    for number in range(int(rng.choice(list(LESION_COUNTS), p=list(LESION_COUNTS.values())))):
        kind = types[int(rng.choice(len(types), p=weights / weights.sum()))]
        late = number > 0 and rng.random() < LATE_PROBABILITY
        wanted.append(
            WantedLesion(
                type=kind,
                long_axis_mm=draw_long_axis_mm(kind, rng),
                first_study=int(rng.integers(1, studies + 1)) if late else 1,
                growth_per_month=float(rng.normal(response, GROWTH_DEVIATION)),
            )
        )
    return tuple(wanted)
