"""Leave-patients-out: who is left out of which fold, what is trained, and where the models are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    PAPER_DESIGN,
    SliceMode,
    SsbrDesign,
    SsbrModel,
    TrainingVolume,
    Variation,
    train_ssbr,
)
from lesiongraph.recipe import SsbrRecipe
from provenance import commit
from ssbr_volumes import patient_of
from train_ssbr import (
    SHIPPED_GROWTHS,
    SHIPPED_MIX,
    SHIPPED_STEPS,
    Mix,
    imagenet_start,
    phantom_volumes,
    shippable_volumes,
    tied,
)

FOLDS = 5
EVERYONE = "everyone"  # the "fold" that leaves nobody out


@dataclass(frozen=True)
class Variant:
    """One way to train, with what it is called in tables."""

    label: str
    design: SsbrDesign
    mix: Mix = (("base", 120),)
    steps: int | None = None  # of each training; the design's number


# Eq. 2 alone, with the packaged network, its views and its optimiser: what the distances in mm are worth.
_EQ2_DESIGN = replace(
    COMPACT_DESIGN,
    name="eq2",
    order_weight=PAPER_DESIGN.order_weight,
    distance_weight=PAPER_DESIGN.distance_weight,
    physical_weight=PAPER_DESIGN.physical_weight,
)
_GROWN_DESIGN = replace(COMPACT_DESIGN, variation=Variation(growths=SHIPPED_GROWTHS))
VARIANTS = {
    "packaged": Variant("packaged recipe", _GROWN_DESIGN, SHIPPED_MIX, SHIPPED_STEPS),
    "brief": Variant("packaged design, 450 steps, 120 phantoms", COMPACT_DESIGN),
    "real-only": Variant("packaged design without phantoms", COMPACT_DESIGN, ()),
    "eq2": Variant("packaged design, Eq. 2 alone", _EQ2_DESIGN),
    "paper": Variant("paper preset", PAPER_DESIGN, ()),
}


def fold_of(patients: list[str]) -> dict[str, int]:
    """Patient -> fold that leaves him out; the same patients give the same folds."""
    return {patient: i % FOLDS for i, patient in enumerate(sorted(set(patients)))}


@dataclass(frozen=True)
class Budget:
    """How long a fold trains; fewer steps or volumes a batch than the design's are marked in tables."""

    steps: int | None
    phantoms: int | None
    phantom_share: float
    volumes_per_batch: int | None = None
    device: str = "cpu"


def train_fold(data: Path, name: str, fold: str, budget: Budget, folder: Path) -> Path:
    """Train one fold (or `EVERYONE`) of a variant, keep its weights in the cache, return their path."""
    variant = VARIANTS[name]
    design = variant.design
    if budget.volumes_per_batch is not None:
        design = replace(design, volumes_per_batch=budget.volumes_per_batch)
    volumes = _real(data, design.slice_mode)
    folds = fold_of([patient_of(volume.name) for volume in volumes])
    out = sorted(patient for patient, own in folds.items() if str(own) == fold)
    kept = tied([volume for volume in volumes if patient_of(volume.name) not in out])
    mix = variant.mix if budget.phantoms is None or not variant.mix else (("base", budget.phantoms),)
    kept += _phantoms(mix, design.slice_mode, budget.phantom_share)
    steps = budget.steps or variant.steps
    started = time.monotonic()
    seed = 0 if fold == EVERYONE else int(fold)
    model = train_ssbr(
        kept,
        SsbrRecipe(),
        seed,
        steps=steps,
        design=design,
        progress=_progress(started),
        start=imagenet_start() if design.network == "compact" else None,
        device=budget.device,
    )
    path = fold_path(folder, name, fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    described = {
        "commit": commit(),
        "left_out": out,
        "steps": design.trainings * (steps or design.steps or SsbrRecipe().steps),
        "phantoms": sum(count for _, count in mix),
        "volumes_per_batch": budget.volumes_per_batch,
        "seconds": round(time.monotonic() - started),
    }
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")
    return path


@cache
def _real(data: Path, mode: SliceMode) -> list[TrainingVolume]:
    return shippable_volumes(data, mode)


@cache
def _phantoms(mix: Mix, mode: SliceMode, share: float) -> list[TrainingVolume]:
    return phantom_volumes(mix, share, mode=mode)


def fold_path(folder: Path, name: str, fold: str) -> Path:
    """Where a fold's weights lie."""
    return folder / name / f"fold-{fold}.safetensors"


@dataclass(frozen=True)
class TrainedFold:
    """A cached model with how it was trained."""

    model: SsbrModel
    left_out: tuple[str, ...]
    budget: str


def load_folds(folder: Path, variant: str) -> dict[str, TrainedFold]:
    """Read what the cache holds of a variant: fold -> model."""
    found = {}
    for fold in [*map(str, range(FOLDS)), EVERYONE]:
        path = fold_path(folder, variant, fold)
        if path.exists():
            told = json.loads(path.with_suffix(".json").read_text())
            batch = f", {told['volumes_per_batch']} volumes a batch" if told["volumes_per_batch"] else ""
            budget = f"{told['steps']} steps{batch}, {told['phantoms']} phantoms, commit {told['commit']}"
            found[fold] = TrainedFold(SsbrModel.load(path), tuple(told["left_out"]), budget)
    return found


def _progress(started: float) -> Callable[[int, int, float], None]:
    def report(step: int, total: int, loss: float) -> None:
        if step % max(1, total // 10) == 0 or step == 1:
            print(f"  step {step}/{total}, loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)

    return report
