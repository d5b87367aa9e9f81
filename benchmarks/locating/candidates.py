"""What is compared: the packaged model, models of folds, and baselines, each with a z of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart import COMPACT_DESIGN, SsbrModel, ZMap, locate_series, seeded_network
from locating.folds import EVERYONE, TrainedFold
from locating.prepared import Inputs, Prepared
from ssbr_left_out import line_through, score_at

Doubles = NDArray[np.float64]
TrueZ = Mapping[str, float]  # landmark -> reference z


@dataclass
class Candidate:
    """Something that scores slices.

    `models`: fold -> model; "" is one model for all. A patient is scored by the model that did not see
    him; by the first one if none did (phantoms, volumes never trained on).
    """

    label: str
    models: dict[str, SsbrModel]
    left_out: dict[str, str] = field(default_factory=dict)  # patient -> fold
    budget: str = ""
    trained: bool = True

    def unseen_by(self, patient: str) -> SsbrModel:
        """The model to score a patient with."""
        return self.models[self.left_out.get(patient, next(iter(self.models)))]

    def held_out(self, volume: Prepared) -> bool:
        """Whether a real patient was left out of his model's training."""
        return volume.patient in self.left_out

    def unseen(self, volume: Prepared) -> bool:
        """Whether the model that scores a real volume never saw its patient."""
        return not self.trained or self.held_out(volume) or not volume.open_licence

    def score(self, volume: Prepared) -> Doubles:
        """Raw scores (n,) of a volume."""
        model = self.unseen_by(volume.patient)
        return model.score(volume.inputs[model.slice_mode])

    def score_each(self, inputs: Inputs) -> list[Doubles]:
        """Scores of single slices by every model."""
        return [model.score(inputs[model.slice_mode]) for model in self.models.values()]


class SliceIndex(Candidate):
    """The baseline that never looks: the slice's place in its series, 0 to 1."""

    def __init__(self) -> None:
        super().__init__("slice index, 0..1", {}, trained=False)

    def score(self, volume: Prepared) -> Doubles:
        """Place of each slice."""
        return np.linspace(0, 1, len(volume.position_mm))


def packaged(model: SsbrModel) -> Candidate:
    """The model inside the package: it saw the real volumes of open licence."""
    return Candidate(f"packaged model {model.sha256[:8]}", {"": model})


def random_network() -> Candidate:
    """The packaged architecture, never trained."""
    model = SsbrModel(
        seeded_network(COMPACT_DESIGN.network, 0), ZMap(1.0, 0.0), slice_mode=COMPACT_DESIGN.slice_mode
    )
    return Candidate("random network", {"": model}, trained=False)


def from_folds(label: str, trained: dict[str, TrainedFold]) -> list[Candidate]:
    """Candidates of one variant: its folds together, and the model that left nobody out."""
    found = []
    folds = {fold: one for fold, one in trained.items() if fold != EVERYONE}
    if folds:
        left_out = {patient: fold for fold, one in folds.items() for patient in one.left_out}
        models = {fold: one.model for fold, one in folds.items()}
        budget = f"{len(folds)} folds, " + "; ".join(sorted({one.budget for one in folds.values()}))
        found.append(Candidate(f"{label}, left out", models, left_out, budget))
    if EVERYONE in trained:
        one = trained[EVERYONE]
        found.append(Candidate(f"{label}, all data", {"": one.model}, {}, one.budget))
    return found


def with_z_map(model: SsbrModel, volumes: Sequence[Prepared], reference: TrueZ) -> SsbrModel:
    """Give a model the line score -> z that fits landmarks of volumes best.

    Models trained here have raw scores of their own scale; a common z makes their errors comparable.
    """
    points = []
    for volume in volumes:
        score = model.score(volume.inputs[model.slice_mode])
        for name, index in volume.marks.items():
            if name in reference:
                points.append((score_at(score, index), reference[name]))
    mapped = ZMap(*line_through(points))
    return SsbrModel(
        model.network, mapped, slice_mode=model.slice_mode, score_per_mm=model.score_per_mm, name=model.name
    )


def z_of_slices(candidate: Candidate, volume: Prepared) -> Doubles:
    """z of each slice seen alone."""
    if isinstance(candidate, SliceIndex):
        return candidate.score(volume)
    return candidate.unseen_by(volume.patient).to_z(candidate.score(volume))


def z_of_series(candidate: Candidate, volume: Prepared) -> Doubles:
    """z of each slice after the refit of the whole series."""
    if isinstance(candidate, SliceIndex):
        return candidate.score(volume)
    model = candidate.unseen_by(volume.patient)
    return locate_series(model, volume.inputs[model.slice_mode], volume.position_mm).z
