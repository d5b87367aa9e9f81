"""Hounsfield units of the tissues, by contrast phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PHASES = ("none", "arterial", "portal", "delayed")
_TABLE: dict[str, tuple[float, float, float, float]] = {
    "air": (-1000, -1000, -1000, -1000),
    "gas": (-960, -960, -960, -960),
    "lung": (-860, -855, -855, -855),
    "fat": (-103, -101, -99, -99),
    "mesentery": (-100, -97, -94, -94),
    "skin": (5, 12, 20, 20),
    "muscle": (52, 56, 62, 62),
    "artery": (42, 310, 165, 115),
    "pulmonary": (42, 220, 155, 112),
    "vein": (42, 110, 160, 118),
    "portal vein": (42, 105, 178, 122),
    "heart": (42, 105, 112, 95),
    "heart blood": (42, 260, 160, 115),
    "right heart": (42, 170, 150, 112),
    "mediastinal fat": (-88, -85, -82, -82),
    "liver": (57, 72, 112, 98),
    "spleen": (48, 128, 124, 104),
    "kidney": (33, 165, 190, 160),
    "medulla": (31, 72, 165, 172),
    "pancreas": (38, 98, 92, 78),
    "adrenal": (28, 62, 66, 50),
    "gallbladder": (8, 9, 9, 10),
    "stomach wall": (38, 72, 76, 66),
    "bowel wall": (36, 72, 80, 66),
    "fluid": (12, 12, 12, 12),
    "bladder": (4, 4, 5, 60),
    "uterus": (48, 82, 108, 92),
    "prostate": (40, 62, 70, 66),
    "thyroid": (102, 190, 160, 140),
    "gland": (28, 40, 48, 48),
    "cartilage": (105, 108, 112, 112),
    "cortex": (620, 620, 620, 620),
    "spongiosa": (170, 172, 176, 176),
    "marrow": (-40, -40, -38, -38),
    "disc": (82, 84, 88, 88),
    "canal": (22, 22, 24, 24),
    "table": (-640, -640, -640, -640),
}


@dataclass(frozen=True)
class Tissues:
    """What each tissue measures in one study: phase plus the patient's and the day's own shift."""

    values: dict[str, float]

    def __getitem__(self, name: str) -> float:
        return self.values[name]


def sample_tissues(phase: str, age: int, rng: np.random.Generator) -> Tissues:
    """Draw the tissue values of a study in HU.

    Parameters
    ----------
    phase : str
        One of PHASES.
    age : int
        Bones lose density with age.
    rng : numpy.random.Generator

    Raises
    ------
    ValueError
        If the phase is none of PHASES.
    """
    if phase not in PHASES:
        raise ValueError(f"contrast phase {phase!r}: expected one of {', '.join(PHASES)}")
    column = PHASES.index(phase)
    strength = float(rng.uniform(0.75, 1.2))
    values = {}
    for name, row in _TABLE.items():
        native = row[0]
        values[name] = native + (row[column] - native) * strength + rng.normal(0, 2.5)
    bone = float(np.clip(1.25 - 0.006 * (age - 30) + rng.normal(0, 0.1), 0.6, 1.5))
    values["cortex"] *= 0.7 + 0.3 * bone
    values["spongiosa"] *= bone
    values["liver"] -= float(rng.choice([0.0, 0.0, 0.0, 25.0, 45.0])) * rng.random()  # fatty liver
    return Tissues(values)
