"""Ways to train that are tried side by side: what each draws, how one is trained and what it is judged by."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import torch
from scipy.stats import spearmanr

from lesiongraph.bodypart import (
    COMPACT_DESIGN,
    SsbrDesign,
    SsbrModel,
    TrainingVolume,
    Variation,
    train_ssbr,
)
from lesiongraph.recipe import SsbrRecipe
from locating.candidates import Candidate, with_z_map
from locating.carried import Carried
from locating.folds import EVERYONE, FOLDS, VARIANTS, fold_of
from locating.measures import best_thresholds, classify, correlation, landmark_spread
from locating.prepared import Prepared
from locating.report import class_table
from ssbr_volumes import patient_of
from train_ssbr import (
    SHIPPED_GROWTHS,
    SHIPPED_MIX,
    SHIPPED_STEPS,
    Mix,
    described_model,
    imagenet_start,
    tied,
    weighted,
)

# Not counted in the mean: a head with raised arms, and 8-bit series whose interval is not recorded.
APART = ("ACRIN-FLT-Breast_001_19600305", "ssbr-")
_BASE: Mix = (("base", 300),)
_RICH = SHIPPED_MIX
_GROWN = Variation(growths=SHIPPED_GROWTHS)
_STRONG = Variation(zoomed=0.4, least_side=0.4, loose=0.2, strength=1.5, hidden=0.25, growths=0.25)
_LONG = SHIPPED_STEPS


@dataclass(frozen=True)
class Trial:
    """One way to train."""

    name: str
    design: SsbrDesign = COMPACT_DESIGN
    mix: Mix = _RICH
    share: float = 0.4  # of the volumes drawn that are phantoms
    steps: int = _LONG  # of each training
    cost: float = 1.0  # of a step, in steps of the packaged design


@dataclass(frozen=True)
class Job:
    """One training of a trial: which fold (or everyone)."""

    trial: Trial
    fold: str

    @property
    def cost(self) -> float:
        """Steps it takes, in steps of the packaged design."""
        return self.trial.cost * self.trial.steps * self.trial.design.trainings


def _with(**changes: object) -> SsbrDesign:
    return replace(COMPACT_DESIGN, **changes)  # type: ignore[arg-type]


TRIALS = {
    trial.name: trial
    for trial in (
        Trial("packaged", mix=(("base", 120),), steps=450),
        Trial("long", mix=_BASE),
        Trial("grown", _with(variation=_GROWN)),
        Trial("rich"),
        Trial("low", _with(variation=_GROWN), share=0.55),
        Trial("strong", _with(variation=_STRONG)),
        Trial("real-only", mix=(), steps=450),
        Trial("eq2", VARIANTS["eq2"].design, mix=(("base", 120),), steps=450),
        Trial("wide", _with(variation=_GROWN, volumes_per_batch=30), steps=900, cost=2.2),
        Trial("paper", VARIANTS["paper"].design, mix=(), steps=250, cost=8.0),
        Trial("longer", _with(variation=_GROWN), steps=2700),
    )
}
FOLD_NAMES = tuple(str(fold) for fold in range(FOLDS))
# In the order of what must not be missed; a trial that takes longer than is left makes room for the next.
_HARD_FIRST = ("4", "0", "1", "2", "3")  # TCGA-OV is left out of fold 4
ORDER: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("packaged", _HARD_FIRST),
    ("long", _HARD_FIRST),
    ("grown", _HARD_FIRST),
    ("grown", (EVERYONE,)),
    ("long", (EVERYONE,)),
    ("low", _HARD_FIRST),
    ("rich", _HARD_FIRST),
    ("strong", _HARD_FIRST),
    ("real-only", _HARD_FIRST),
    ("eq2", _HARD_FIRST),
    ("strong", (EVERYONE,)),
    ("wide", _HARD_FIRST),
    ("wide", (EVERYONE,)),
    ("paper", _HARD_FIRST),
    ("longer", _HARD_FIRST),
)


def all_jobs(only: Sequence[str] | None = None) -> list[Job]:
    """Every training in its order; `only` keeps some trials."""
    return [Job(TRIALS[name], fold) for name, folds in ORDER if not only or name in only for fold in folds]


@dataclass
class Ground:
    """What every training shares."""

    carried: Carried
    phantoms: Mapping[tuple[str, int], TrainingVolume]
    device: str
    start_state: dict[str, torch.Tensor] = field(default_factory=dict)


def train(job: Job, ground: Ground) -> tuple[SsbrModel, dict[str, object]]:
    """Train one job -> the model on the CPU, and how it was trained."""
    trial, design = job.trial, job.trial.design
    real = ground.carried.body if design.slice_mode == "body" else ground.carried.frame
    folds = fold_of([patient_of(volume.name) for volume in real])
    out = sorted(patient for patient, own in folds.items() if str(own) == job.fold)
    kept = [volume for volume in real if patient_of(volume.name) not in out]
    volumes = (tied(kept) if design.slice_mode == "body" else kept) + _weighted(trial, ground)
    seed = 1 if job.fold == EVERYONE else int(job.fold)
    started = time.monotonic()
    model = train_ssbr(
        volumes,
        SsbrRecipe(),
        seed,
        steps=trial.steps,
        design=design,
        start=imagenet_start() if design.network == "compact" else None,
        device=ground.device,
    )
    phantoms = sum(count for _, count in trial.mix)
    steps, usual = design.trainings * trial.steps, COMPACT_DESIGN.volumes_per_batch
    if job.fold == EVERYONE:
        mixed = ", ".join(f"{count} {kind}" for kind, count in trial.mix)
        described_model(
            model, design, real, phantoms=mixed, phantom_share=trial.share, steps=steps, seed=seed,
            trial=trial.name,
        )  # fmt: skip
    return model, {
        "trial": trial.name,
        "fold": job.fold,
        "left_out": out,
        "steps": steps,
        "phantoms": phantoms,
        "mix": trial.mix,
        "share": trial.share,
        "volumes_per_batch": None if design.volumes_per_batch == usual else design.volumes_per_batch,
        "variation": asdict(design.variation),
        "train_s": round(time.monotonic() - started, 1),
        "device": torch.cuda.get_device_name() if ground.device == "cuda" else "CPU",
        "torch": torch.__version__,
    }


def _weighted(trial: Trial, ground: Ground) -> list[TrainingVolume]:
    """The trial's phantoms, which together weigh `share` to the real volumes' 1 - `share`."""
    wanted = [(kind, i) for kind, count in trial.mix for i in range(count)]
    return weighted([ground.phantoms[key] for key in wanted], trial.share)


def judge(model: SsbrModel, told: Mapping[str, object], ground: Ground) -> dict[str, object]:
    """Figures of one model: r, Spearman with the authors' z, landmarks and classes of phantoms; scores."""
    carried, fold = ground.carried, str(told["fold"])
    model.network.to(ground.device)
    left_out = dict.fromkeys(told["left_out"], fold)  # type: ignore[call-overload]
    candidate = Candidate(str(told["trial"]), {fold: model}, left_out)
    opened = [volume for volume in carried.real if volume.open_licence and candidate.held_out(volume)]
    closed = [volume for volume in carried.real if not volume.open_licence]
    scores = {volume.name: candidate.score(volume) for volume in [*opened, *closed]}
    authors = model.score(carried.deeplesion[model.slice_mode])
    on_scale = with_z_map(model, carried.judging["fit"], carried.reference, "single slices")
    figures: dict[str, object] = {
        "r_left_out": _r(opened, scores),
        "r_never": _r(closed, scores),
        "spearman_authors": round(float(spearmanr(authors, carried.authors_z)[0]), 4),
        "scores": {name: [round(float(x), 3) for x in score] for name, score in scores.items()},
        "authors_scores": [round(float(x), 3) for x in authors],
    }
    for kind in ("plain", "varied"):
        figures |= _on_phantoms(Candidate("", {"": on_scale}), carried, kind)
    model.network.cpu()
    return figures


def _r(volumes: Sequence[Prepared], scores: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {v.name: round(correlation(v.position_mm, scores[v.name]), 4) for v in volumes}


def _on_phantoms(candidate: Candidate, carried: Carried, kind: str) -> dict[str, object]:
    marked = {}
    for volume in carried.judging[kind]:
        z = candidate.models[""].to_z(candidate.score(volume))
        marked[volume.patient] = {name: float(z[round(i)]) for name, i in volume.marks.items()}
    spread = landmark_spread(marked)
    fit_z, fit_class, *_ = class_table(candidate, carried.judging["fit"], carried.reference, "single slices")
    z, truth, off_mm, _ = class_table(candidate, carried.judging[kind], carried.reference, "single slices")
    wrong = classify(z, best_thresholds(fit_z, fit_class)) != truth
    errors = np.quantile(off_mm[wrong], [0.5, 0.9]) if wrong.any() else []
    return {
        f"three_class_{kind}": round(float(100 * (1 - wrong.mean())), 2),
        f"error_mm_{kind}": [round(float(x)) for x in errors],
        f"landmark_sd_{kind}": round(spread.to_scale(carried.reference), 4),
    }


def summary(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """One line a trial: r of patients left out, Spearman, classes, landmarks; and everyone's model."""
    lines = []
    for name in dict.fromkeys(str(row["trial"]) for row in rows):
        own = [row for row in rows if row["trial"] == name]
        folds = [row for row in own if row["fold"] != EVERYONE]
        if folds:
            lines.append(f"{name:10s} {len(folds)} folds  {_line(folds)}")
        if len(folds) < len(own):
            lines.append(f"{name:10s} everyone {_line([row for row in own if row not in folds])}")
    return lines


def counted(rows: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """Volume -> r, of those left out that count."""
    found: dict[str, float] = {}
    for row in rows:
        r: dict[str, float] = row["r_left_out"]  # type: ignore[assignment]
        found |= {name: value for name, value in r.items() if not name.startswith(APART)}
    return found


def merit(rows: Sequence[Mapping[str, object]]) -> float:
    """What decides whose fold models come back: mean and worst r, and Spearman."""
    r = list(counted(rows).values())
    spearman = float(np.mean([row["spearman_authors"] for row in rows]))
    return float(np.mean(r)) + 0.3 * min(r) + 0.3 * spearman if r else -1.0


def _line(rows: Sequence[Mapping[str, object]]) -> str:
    r = counted(rows)
    never = [list(row["r_never"].values()) for row in rows]  # type: ignore[attr-defined]
    parts = []
    if r:
        worst = min(r, key=lambda name: r[name])
        mean = np.mean(list(r.values()))
        parts.append(f"r left out {mean:.4f}, worst {r[worst]:.4f} ({worst}), n {len(r)}")
    parts.append(f"r never seen {np.mean(never):.4f}, worst {np.min(np.mean(never, axis=0)):.4f}")
    for key, label in (
        ("spearman_authors", "Spearman"), ("three_class_plain", "classes plain"),
        ("three_class_varied", "varied"), ("landmark_sd_plain", "sd plain"),
        ("landmark_sd_varied", "varied"), ("train_s", "s"),
    ):  # fmt: skip
        parts.append(f"{label} {np.mean([row[key] for row in rows]):.3f}")
    return "; ".join(parts)
