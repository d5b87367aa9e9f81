"""How hard a phantom hospital is: every number in which the two difficulties differ, in one place.

The hard numbers were chosen so that the type errors of the location and of the raw feature come near the
paper's (22 and 15 %, Table 1), looking at those two rows and at CALIBRATION_SEEDS alone; docs/phantom.md.
They are frozen: another number is another version.
"""

from __future__ import annotations

from dataclasses import dataclass

from lesiongraph.errors import UsageError


@dataclass(frozen=True)
class Difficulty:
    """One way to draw a hospital. A hard one varies more; it does not make types alike."""

    name: str
    version: int  # of the numbers below; another version gives other bytes
    lesion_counts: dict[int, float]  # lesions of a patient, and how often
    labelled_of_block: tuple[int, int]  # of so many patients in each block of so many the sites are coded
    anatomy_spread: float  # how much organs, heights and fat differ between patients, against plain
    node_spread: float  # how far nodes and deposits scatter about their stations, against plain
    rotation_deg: float  # standard deviation between studies
    breath_mm: float  # standard deviation between studies
    arms_down_share: float
    usual_protocol_share: float  # of studies that repeat the patient's phase, kernel, interval and noise
    kinship: float  # chance that a lesion looks like the patient's first of its type
    placement_tries: int  # how often a place is drawn again that is taken …
    own_places: bool  # … or, where true, that a radiologist would call by another type


PLAIN = Difficulty(
    name="plain",
    version=1,
    # More a patient than DeepLesion's 7.4 marks in 2.4 studies would need: a hospital of forty patients
    # would otherwise show its seeds only a few types.
    lesion_counts={4: 0.1, 5: 0.15, 6: 0.2, 7: 0.2, 8: 0.15, 9: 0.1, 10: 0.1},
    labelled_of_block=(3, 5),
    anatomy_spread=1.0,
    node_spread=1.0,
    rotation_deg=2.5,
    breath_mm=5.0,
    arms_down_share=0.15,
    usual_protocol_share=0.0,
    kinship=0.0,
    placement_tries=6,
    own_places=False,
)
HARD = Difficulty(
    name="hard",
    version=1,
    lesion_counts={2: 0.1, 3: 0.15, 4: 0.2, 5: 0.2, 6: 0.15, 7: 0.1, 8: 0.1},
    labelled_of_block=(11, 20),
    anatomy_spread=1.8,
    node_spread=1.6,
    rotation_deg=9.0,
    breath_mm=15.0,
    arms_down_share=0.5,
    usual_protocol_share=0.9,
    kinship=0.9,
    placement_tries=40,
    own_places=True,
)
CALIBRATION_SEEDS = (77, 1001, 1002, 1003, 7001, 7002, 7003, 7004)  # what the hard numbers were chosen on
EVALUATION_SEEDS = (2101, 2102, 2103)  # never looked at before the numbers were frozen: results are of these
TRAINING_SEEDS = (3101, 3102, 3111, 3112)  # what shipped weights may learn from
DIFFICULTIES = {difficulty.name: difficulty for difficulty in (PLAIN, HARD)}


def difficulty_named(name: str) -> Difficulty:
    """Return the difficulty of that name.

    Raises
    ------
    UsageError
        If there is no such difficulty.
    """
    try:
        return DIFFICULTIES[name]
    except KeyError:
        raise UsageError(
            f"phantom: expected difficulty {' or '.join(DIFFICULTIES)}, got {name!r}. Choose one of them."
        ) from None
