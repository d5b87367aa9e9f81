"""Who lies in the phantom hospital: types, sizes, studies and the course of each lesion, drawn from one seed.

The figures were counted on the rebuilt DeepLesion metadata of the official splits 1 and 2 (27,406 lesions of
3,760 patients; 2,618 typed lesions of 554 patients in split 2); Yan et al., CVPR 2018, state the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.difficulty import PLAIN, Difficulty

# Split 2, typed rows (n = 2,618): 116, 374, 353, 233, 1141, 100, 118, 183.
TYPE_FRACTIONS = dict(
    zip(LESION_TYPES, (0.0443, 0.1429, 0.1348, 0.0890, 0.4358, 0.0382, 0.0451, 0.0699), strict=True)
)
# The same rows: median long axis (mm) and standard deviation of its logarithm (skew below 0.4: lognormal).
LONG_AXIS_BY_TYPE: dict[str, tuple[float, float]] = {
    "bone": (14.1, 0.48),
    "abdomen": (17.7, 0.65),
    "mediastinum": (16.9, 0.46),
    "liver": (18.0, 0.76),
    "lung": (11.2, 0.76),
    "kidney": (17.1, 0.65),
    "soft tissue": (18.6, 0.56),
    "pelvis": (20.4, 0.69),
}
# All typed rows have median 14.95 mm, all of DeepLesion 15.6 mm (Sec. 3): one factor lifts every type.
SIZE_FACTOR = 15.6 / 14.95
LONG_AXIS_RANGE_MM = (4.0, 170.0)  # 4 mm: 3rd percentile; 171 mm: the largest typed lesion
# Patients with 1, 2, … 10, 11 or more studies (n = 3,760); mean 2.4, as 10,594 studies / 4,427 patients.
STUDY_COUNTS = (1954, 704, 371, 243, 166, 106, 64, 44, 30, 22, 56)
# Two lesions of one patient share their type in 58.5 % of pairs (split 2). Drawn from a common primary with
# probability p each, they do so with p² + (1 − p²) Σ f² = 0.585, hence p = 0.66.
SAME_TYPE_PROBABILITY = 0.66
GSPS_FRACTION = 5  # one study in five is filed as GSPS
TWO_SERIES_PROBABILITY = 0.15
SECOND_READER_PROBABILITY = 0.1
LATE_LESION_PROBABILITY = 0.25  # a lesion that appears after the first study
VANISHING_PROBABILITY = 0.12  # a lesion that is gone before the last study
TARGET_PROBABILITY = 0.6
ATTENTION_TARGET, ATTENTION_OTHER = 0.95, 0.65  # chance that a visible lesion is marked in a study
GROWTH_PER_MONTH = {"responding": -0.07, "stable": 0.0, "progressing": 0.06}
GROWTH_DEVIATION = 0.03
GROWTH_RANGE = (0.35, 1.8)  # of the size at first sight
GONE_BELOW_MM = 3.0
FIRST_DATE, LAST_FIRST_DATE = date(2008, 1, 7), date(2015, 12, 31)
FOLLOW_UP_DAYS = (30, 120)
DAYS_PER_MONTH = 30.44

# Steps of the additive sequences that spread a trait over the patients (fractional parts of the golden
# ratio, of the square root of 2 and of the plastic number): any run of patients, even a short one, holds
# types and study counts nearly in their shares. Independent draws leave a small hospital without livers.
PRIMARY_STEP, STUDIES_STEP, OTHERS_STEP = 0.6180339887, 0.4142135624, 0.3247179572


@dataclass(frozen=True)
class Visit:
    """One study as planned. `months` counts from the first study."""

    number: int
    date: date
    time: str
    months: float
    report_kind: str  # SR | GSPS
    readers: tuple[int, ...]
    series: int


@dataclass(frozen=True)
class LesionCourse:
    """One lesion over time, as planned. Study numbers count from 1."""

    identity: int
    type: str
    long_axis_mm: float  # when first present
    first_study: int
    last_study: int
    growth_per_month: float  # of the logarithm of the long axis
    attention: float

    def factor(self, visit: Visit, first: Visit) -> float | None:
        """Return its size in a study relative to the first one it is in; None where it is absent."""
        if not self.first_study <= visit.number <= self.last_study:
            return None
        grown = np.exp(self.growth_per_month * (visit.months - first.months))
        factor = float(np.clip(grown, *GROWTH_RANGE))
        return factor if factor * self.long_axis_mm >= GONE_BELOW_MM else None


@dataclass(frozen=True)
class PatientPlan:
    """Everything about a patient that is decided before anything is drawn."""

    patient_id: str
    index: int
    labelled: bool
    visits: tuple[Visit, ...]
    lesions: tuple[LesionCourse, ...]


def plan_patient(index: int, rng_seed: int, difficulty: Difficulty = PLAIN) -> PatientPlan:
    """Plan one patient; depends on what is given alone, not on how many patients there are.

    Parameters
    ----------
    index
        Position in the hospital, from 0.
    rng_seed
        The hospital's random seed, 0 or more.
    difficulty
        How many lesions a patient has, and how many patients are labelled.
    """
    rng = np.random.default_rng([rng_seed, index, 0])
    spread = _Spread(index, rng_seed, most_lesions=max(difficulty.lesion_counts))
    visits = _plan_visits(spread, rng)
    return PatientPlan(
        patient_id=f"PHANTOM-{index + 1:04d}",
        index=index,
        labelled=_is_labelled(index, rng_seed, difficulty),
        visits=visits,
        lesions=_plan_lesions(len(visits), difficulty, spread, rng),
    )


class _Spread:
    """The traits of one patient that are spread evenly over the hospital rather than drawn alone."""

    def __init__(self, index: int, rng_seed: int, *, most_lesions: int) -> None:
        self._index = index
        self._most_lesions = most_lesions
        self._starts = np.random.default_rng([rng_seed, 3]).random(3)
        block = np.random.default_rng([rng_seed, index // GSPS_FRACTION, 2])
        self.gsps_phase = int(block.permutation(GSPS_FRACTION)[index % GSPS_FRACTION])

    @property
    def studies(self) -> int:
        """Number of studies, 1–11."""
        return 1 + self._quantile(STUDY_COUNTS, self._starts[0] + self._index * STUDIES_STEP)

    @property
    def primary_type(self) -> str:
        """The type that most lesions of the patient share."""
        place = self._starts[1] + self._index * PRIMARY_STEP
        return LESION_TYPES[self._quantile(tuple(TYPE_FRACTIONS.values()), place)]

    def other_type(self, identity: int) -> str:
        """The type of a lesion that does not come from the primary."""
        place = self._starts[2] + (self._index * self._most_lesions + identity) * OTHERS_STEP
        return LESION_TYPES[self._quantile(tuple(TYPE_FRACTIONS.values()), place)]

    @staticmethod
    def _quantile(weights: Sequence[float], place: float) -> int:
        shares = np.cumsum(weights) / np.sum(weights)
        return min(int(np.searchsorted(shares, place % 1.0, side="right")), len(weights) - 1)


def _is_labelled(index: int, rng_seed: int, difficulty: Difficulty) -> bool:
    """Whether the patient is one of those of each block that carry coded sites, chosen by the seed.

    DeepLesion labelled 30 % of 32,735 lesions; a hospital of forty patients needs a larger share, or its
    seeds would know only a few types.
    """
    labelled, size = difficulty.labelled_of_block
    block = np.random.default_rng([rng_seed, index // size, 1]).permutation(size)
    return bool(block[index % size] < labelled)


def _plan_visits(spread: _Spread, rng: np.random.Generator) -> tuple[Visit, ...]:
    days = int(rng.integers(0, (LAST_FIRST_DATE - FIRST_DATE).days))
    start = FIRST_DATE + timedelta(days=days)
    visits: list[Visit] = []
    day = start
    for number in range(1, spread.studies + 1):
        second = rng.random() < SECOND_READER_PROBABILITY
        reader = int(rng.integers(0, 8))
        visits.append(
            Visit(
                number=number,
                date=day,
                time=f"{rng.integers(7, 18):02d}{rng.integers(0, 60):02d}00",
                months=(day - start).days / DAYS_PER_MONTH,
                report_kind="GSPS" if (number + spread.gsps_phase) % GSPS_FRACTION == 0 else "SR",
                readers=(reader, (reader + 3) % 8) if second else (reader,),
                series=2 if rng.random() < TWO_SERIES_PROBABILITY else 1,
            )
        )
        day += timedelta(days=int(rng.integers(FOLLOW_UP_DAYS[0], FOLLOW_UP_DAYS[1] + 1)))
    return tuple(visits)


def _plan_lesions(
    studies: int, difficulty: Difficulty, spread: _Spread, rng: np.random.Generator
) -> tuple[LesionCourse, ...]:
    counts = difficulty.lesion_counts
    count = int(rng.choice(list(counts), p=list(counts.values())))
    response = GROWTH_PER_MONTH[str(rng.choice(list(GROWTH_PER_MONTH), p=[0.4, 0.35, 0.25]))]
    lesions = []
    for identity in range(1, count + 1):
        from_primary = rng.random() < SAME_TYPE_PROBABILITY
        lesion_type = spread.primary_type if from_primary else spread.other_type(identity)
        late = identity > 1 and rng.random() < LATE_LESION_PROBABILITY
        first = int(rng.integers(1, studies + 1)) if late else 1
        vanishes = rng.random() < VANISHING_PROBABILITY
        last = int(rng.integers(first, studies + 1)) if vanishes else studies
        target = rng.random() < TARGET_PROBABILITY
        lesions.append(
            LesionCourse(
                identity=identity,
                type=lesion_type,
                long_axis_mm=draw_long_axis_mm(lesion_type, rng),
                first_study=first,
                last_study=last,
                growth_per_month=float(rng.normal(response, GROWTH_DEVIATION)),
                attention=ATTENTION_TARGET if target else ATTENTION_OTHER,
            )
        )
    return tuple(lesions)


def draw_long_axis_mm(lesion_type: str, rng: np.random.Generator) -> float:
    """Draw a long axis (mm) for a lesion type, lognormal with DeepLesion's long tail."""
    median, deviation = LONG_AXIS_BY_TYPE[lesion_type]
    return float(np.clip(SIZE_FACTOR * median * rng.lognormal(0, deviation), *LONG_AXIS_RANGE_MM))
