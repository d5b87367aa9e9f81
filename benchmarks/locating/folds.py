"""Leave-patients-out: who is left out of which fold, what is trained, and where the models are kept."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tools.ssbr_volumes import patient_of
from tools.train_ssbr import phantom_volumes, shippable_volumes

from lesiongraph.bodypart import COMPACT_DESIGN, PAPER_DESIGN, SsbrDesign, SsbrModel, train_ssbr
from lesiongraph.recipe import SsbrRecipe
from provenance import commit

FOLDS = 5
EVERYONE = "everyone"  # the "fold" that leaves nobody out
PHANTOM_SEED = 77  # training phantoms; judged are phantoms of other seeds


@dataclass(frozen=True)
class Variant:
    """One way to train, with what it is called in tables."""

    label: str
    design: SsbrDesign
    phantoms: bool = True


VARIANTS = {
    "packaged": Variant("packaged design", COMPACT_DESIGN),
    "real-only": Variant("packaged design without phantoms", COMPACT_DESIGN, phantoms=False),
    "paper-compact": Variant(
        "paper recipe, compact network",
        replace(PAPER_DESIGN, name="paper-compact", network=COMPACT_DESIGN.network),
        phantoms=False,
    ),
    "paper": Variant("paper preset", PAPER_DESIGN, phantoms=False),
}


def fold_of(patients: list[str]) -> dict[str, int]:
    """Patient -> fold that leaves him out; the same patients give the same folds."""
    return {patient: i % FOLDS for i, patient in enumerate(sorted(set(patients)))}


@dataclass(frozen=True)
class Budget:
    """How long a fold trains; fewer steps or volumes a batch than the design's are marked in tables."""

    steps: int
    phantoms: int
    volumes_per_batch: int | None = None


def train_fold(data: Path, name: str, fold: str, budget: Budget, cache: Path) -> Path:
    """Train one fold (or `EVERYONE`) of a variant, keep its weights in the cache, return their path."""
    variant = VARIANTS[name]
    design = variant.design
    if budget.volumes_per_batch is not None:
        design = replace(design, volumes_per_batch=budget.volumes_per_batch)
    volumes = shippable_volumes(data, design.slice_mode)
    folds = fold_of([patient_of(volume.name) for volume in volumes])
    out = sorted(patient for patient, own in folds.items() if str(own) == fold)
    kept = [volume for volume in volumes if patient_of(volume.name) not in out]
    if variant.phantoms and budget.phantoms:
        kept += phantom_volumes(budget.phantoms, PHANTOM_SEED, design.slice_mode)
    started = time.monotonic()
    seed = 0 if fold == EVERYONE else int(fold)
    model = train_ssbr(
        kept, SsbrRecipe(), seed, steps=budget.steps, design=design, progress=_progress(started)
    )
    path = fold_path(cache, name, fold)
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path)
    described = {
        "commit": commit(),
        "left_out": out,
        "steps": budget.steps,
        "phantoms": budget.phantoms if variant.phantoms else 0,
        "volumes_per_batch": budget.volumes_per_batch,
        "seconds": round(time.monotonic() - started),
    }
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")
    return path


def fold_path(cache: Path, name: str, fold: str) -> Path:
    """Where a fold's weights lie."""
    return cache / name / f"fold-{fold}.safetensors"


@dataclass(frozen=True)
class TrainedFold:
    """A cached model with how it was trained."""

    model: SsbrModel
    left_out: tuple[str, ...]
    budget: str


def load_folds(cache: Path, variant: str) -> dict[str, TrainedFold]:
    """Read what the cache holds of a variant: fold -> model."""
    found = {}
    for fold in [*map(str, range(FOLDS)), EVERYONE]:
        path = fold_path(cache, variant, fold)
        if path.exists():
            told = json.loads(path.with_suffix(".json").read_text())
            batch = f", {told['volumes_per_batch']} volumes a batch" if told["volumes_per_batch"] else ""
            budget = f"2 x {told['steps']} steps{batch}, {told['phantoms']} phantoms, commit {told['commit']}"
            found[fold] = TrainedFold(SsbrModel.load(path), tuple(told["left_out"]), budget)
    return found


def _progress(started: float) -> Callable[[int, int, float], None]:
    def report(step: int, total: int, loss: float) -> None:
        if step % max(1, total // 10) == 0 or step == 1:
            print(f"  step {step}/{total}, loss {loss:.3f}, {time.monotonic() - started:.0f} s", flush=True)

    return report
