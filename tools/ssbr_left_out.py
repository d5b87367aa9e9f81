"""Models that left a patient out, on the packaged model's scale: they tell z_sd of patients never seen.

`benchmarks/ssbr_folds.py` trains them; a folder holds `fold-N.safetensors` and beside it a JSON that names
the patients left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart import SsbrModel

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class LeftOut:
    """One model of a fold and the patients it never saw."""

    model: SsbrModel
    patients: tuple[str, ...]


def read_folds(folder: Path) -> list[LeftOut]:
    """Read the models that left somebody out."""
    found = []
    for path in sorted(folder.glob("fold-*.safetensors")):
        patients = tuple(json.loads(path.with_suffix(".json").read_text())["left_out"])
        if patients:
            found.append(LeftOut(SsbrModel.load(path), patients))
    return found


def score_at(score: Doubles, index: float) -> float:
    """Score between two slices."""
    return float(np.interp(index, np.arange(len(score)), score))


def line_through(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """Slope and offset of the least-squares line through (score, z); a flat one where it does not rise.

    A scorer that knows nothing does best by giving the same z to all.
    """
    scores, z = np.array(list(points)).T
    slope, offset = (float(value) for value in np.polyfit(scores, z, 1))
    return (slope, offset) if slope > 0 else (1e-6, float(z.mean()))


def on_scale_of(packaged: SsbrModel, score: Doubles, line: tuple[float, float]) -> Doubles:
    """Turn a fold model's scores into those of the packaged model, by its line score -> z."""
    return np.asarray((line[0] * score + line[1] - packaged.z_map.offset) / packaged.z_map.slope)


def mean_z(marked: Iterable[tuple[str, Sequence[tuple[str, float]]]]) -> dict[str, float]:
    """Mean z of each landmark over (patient, [(landmark, z)]); a patient counts once, alone not at all."""
    by_name: dict[str, dict[str, list[float]]] = {}
    for patient, rows in marked:
        for name, z in rows:
            by_name.setdefault(name, {}).setdefault(patient, []).append(z)
    return {
        name: float(np.mean([np.mean(values) for values in patients.values()]))
        for name, patients in by_name.items()
        if len(patients) > 1
    }
