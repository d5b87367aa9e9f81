"""The tables of `ssbr.py`: one function a claim; each prints what it measures and on how many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from locating.candidates import Candidate, SliceIndex, TrueZ, z_of_series, z_of_slices
from locating.measures import (
    best_thresholds,
    border_distance_mm,
    classify,
    correlation,
    landmark_spread,
    spearman_with_interval,
    three_classes,
)
from locating.prepared import Inputs, Prepared
from locating.views import VIEWS

Doubles = NDArray[np.float64]
Way = Literal["single slices", "refitted series"]
BORDERS = ("liver dome", "iliac crest")  # Sec. 8.2: upper border of the liver, of the ilium
START = ("lung apex", "thoracic inlet")  # above: neck, no class of the paper
END = "ischial tuberosity"  # below: thigh
CLASSES = ("chest", "abdomen", "pelvis")
_FAR_MM = 40.0  # an error farther from the border than this is no matter of opinion


def print_correlations(candidate: Candidate, volumes: Sequence[Prepared], note: str = "") -> None:
    """(a) r of score against position, each volume, mean and worst."""
    r = {volume.name: correlation(volume.position_mm, candidate.score(volume)) for volume in volumes}
    values = np.array(list(r.values()))
    worst = f"worst {values.min():.4f}, n = {len(r)} volumes"
    print(f"  {candidate.label}{note}: mean {values.mean():.4f}, {worst}")
    print("    " + ", ".join(f"{name} {value:.3f}" for name, value in sorted(r.items(), key=lambda x: x[1])))


def print_spread(candidate: Candidate, volumes: Sequence[Prepared], reference: TrueZ, note: str = "") -> None:
    """(b) standard deviation of z of the same landmark in different patients."""
    for way in ways_of(candidate):
        marked: dict[str, dict[str, list[float]]] = {}
        for volume in volumes:
            own = marked.setdefault(volume.patient, {})
            for name, z in _marked_z(candidate, volume, way).items():
                own.setdefault(name, []).append(z)
        # a patient seen twice counts once, by the mean
        means = {who: {name: float(np.mean(zs)) for name, zs in own.items()} for who, own in marked.items()}
        spread = landmark_spread(means)
        print(
            f"  {candidate.label}{note}, {way}: sd to scale {spread.to_scale(reference):.4f} (raw "
            f"{spread.pooled:.4f}), {spread.patients} patients"
        )
        parts = (f"{name} {z:.3f} ± {sd:.3f} (n = {n})" for name, (z, sd, n) in spread.per_landmark.items())
        print("    " + ", ".join(parts))


def ways_of(candidate: Candidate) -> tuple[Way, ...]:
    """How z is read: each slice alone; where there is a model, also from the line through its series."""
    return ("single slices",) if isinstance(candidate, SliceIndex) else ("single slices", "refitted series")


def z_by(way: Way, candidate: Candidate, volume: Prepared) -> Doubles:
    """z of each slice, read one way."""
    return (z_of_slices if way == "single slices" else z_of_series)(candidate, volume)


def _marked_z(candidate: Candidate, volume: Prepared, way: Way) -> dict[str, float]:
    """z of each landmark: of the nearest slice alone, or of the series between slices."""
    z = z_by(way, candidate, volume)
    if way == "single slices":
        return {name: float(z[round(index)]) for name, index in volume.marks.items()}
    return {name: float(np.interp(i, np.arange(len(z)), z)) for name, i in volume.marks.items()}


def borders_of(volume: Prepared, reference: TrueZ) -> tuple[float, float, NDArray[np.bool_]] | None:
    """Slice indices of the two borders (infinite if outside), and which slices have a class.

    None where the marks cannot tell: a border is not marked and no mark says on which side of it the
    volume lies.
    """
    borders = []
    for name in BORDERS:
        if name in volume.marks:
            borders.append(volume.marks[name])
            continue
        sides = {reference[mark] > reference[name] for mark in volume.marks if mark in reference}
        if len(sides) != 1:
            return None
        borders.append(-np.inf if sides.pop() else np.inf)
    index = np.arange(len(volume.position_mm))
    start = min((volume.marks[name] for name in START if name in volume.marks), default=-np.inf)
    end = volume.marks.get(END, np.inf)
    return borders[0], borders[1], (index >= start) & (index <= end)


def print_classes(
    candidate: Candidate,
    fitted_on: Sequence[Prepared],
    judged: Sequence[Prepared],
    reference: TrueZ,
    note: str = "",
) -> None:
    """(c) chest, abdomen, pelvis by two thresholds on z; where the errors lie."""
    for way in ways_of(candidate):
        fit_z, fit_class, *_ = class_table(candidate, fitted_on, reference, way)
        z, truth, off_mm, names = class_table(candidate, judged, reference, way)
        if not len(z) or not len(fit_z):
            print(f"  {candidate.label}: no volume with both borders known")
            return
        thresholds = best_thresholds(fit_z, fit_class)
        wrong = classify(z, thresholds) != truth
        counts = ", ".join(f"{name} {int((truth == i).sum())}" for i, name in enumerate(CLASSES))
        print(
            f"  {candidate.label}{note}, {way}: {100 * (1 - wrong.mean()):.2f} % of {len(z)} slices of "
            f"{len(set(names))} patients ({counts}), thresholds {thresholds[0]:.3f}, {thresholds[1]:.3f}"
        )
        if wrong.any():
            _print_errors(off_mm[wrong], names[wrong])


def _print_errors(off_mm: Doubles, names: NDArray[np.str_]) -> None:
    """How far from the border the wrong slices lie."""
    far = off_mm > _FAR_MM
    print(
        f"    {len(off_mm)} errors, mm from the border: median {np.median(off_mm):.0f}, 90th "
        f"percentile {np.quantile(off_mm, 0.9):.0f}, farthest {off_mm.max():.0f}; {int(far.sum())} beyond "
        f"{_FAR_MM:.0f} mm, in {len(set(names[far]))} patients"
    )


def class_table(
    candidate: Candidate, volumes: Sequence[Prepared], reference: TrueZ, way: Way
) -> tuple[Doubles, NDArray[np.int64], Doubles, NDArray[np.str_]]:
    """z, class, mm from the nearer border and patient of each slice that has a class."""
    zs, classes, distances, names = [], [], [], []
    for volume in volumes:
        borders = borders_of(volume, reference)
        if borders is None:
            continue
        dome, crest, use = borders
        position = volume.position_mm
        zs.append(z_by(way, candidate, volume)[use])
        classes.append(three_classes(np.arange(len(position)), dome, crest)[use])
        distances.append(border_distance_mm(position, dome, crest)[use])
        names += [volume.patient] * int(use.sum())
    if not zs:
        return np.empty(0), np.empty(0, np.int64), np.empty(0), np.empty(0, np.str_)
    return np.concatenate(zs), np.concatenate(classes), np.concatenate(distances), np.array(names)


def print_deeplesion(candidate: Candidate, known: pd.DataFrame, inputs: Inputs) -> None:
    """(d) Spearman with the authors' z; several models: each one's, their mean first."""
    truth = known.z.to_numpy(dtype=float)
    scores = candidate.score_each(inputs)
    found = np.array([spearman_with_interval(score, truth, known.patient.tolist()) for score in scores])
    rho, low, high = found.mean(axis=0)
    each = "" if len(scores) == 1 else " (mean of " + ", ".join(f"{row[0]:.3f}" for row in found) + ")"
    print(
        f"  {candidate.label}: {rho:.3f} [{low:.3f}, {high:.3f}]{each}, n = {len(truth)} slices of "
        f"{known.patient.nunique()} patients"
    )
    if len(scores) == 1 and not candidate.budget:
        model = next(iter(candidate.models.values()))
        error = np.abs(model.to_z(scores[0]) - truth)
        middle, high = np.quantile(error, [0.5, 0.9])
        print(f"    |z - authors' z|: median {middle:.3f}, 90th percentile {high:.3f}")


def slice_reference(volume: Prepared, reference: TrueZ, per_mm: float) -> Doubles:
    """Reference z of each slice: straight lines through the landmarks' z, `per_mm` beyond them."""
    marks = sorted((index, reference[name]) for name, index in volume.marks.items() if name in reference)
    index, z = np.array(marks).T
    position = volume.position_mm
    at = np.interp(index, np.arange(len(position)), position)
    inside = np.interp(position, at, z)
    return inside - per_mm * np.maximum(at[0] - position, 0) + per_mm * np.maximum(position - at[-1], 0)


def print_views(
    candidate: Candidate,
    volumes: Sequence[Prepared],
    reference: TrueZ,
    per_mm: float,
    note: str = "",
) -> None:
    """(d2) z of whole and cut views of single slices against the landmarks' z."""
    rows = []
    for volume in volumes:
        known = sum(name in reference for name in volume.marks)
        if volume.views is None or known < 2 or not np.isfinite(volume.position_mm).all():
            continue
        truth = slice_reference(volume, reference, per_mm)[volume.views.slices]
        model = candidate.unseen_by(volume.patient)
        z = model.to_z(model.score(volume.views.inputs[model.slice_mode]))
        rows.append(pd.DataFrame({"kind": volume.views.kinds, "truth": truth, "z": z}))
    if not rows:
        return
    table = pd.concat(rows)
    parts = []
    for kind in VIEWS:
        own = table[table.kind == kind]
        off = own.z - own.truth
        rho = spearmanr(own.z, own.truth)[0]
        parts.append(f"{kind} {rho:.3f}, {np.sqrt((off**2).mean()):.3f}, {off.mean():+.3f}")
    print(f"  {candidate.label}{note} (Spearman, RMS error, mean error): " + "; ".join(parts))
    print(f"    {len(rows)} volumes, {len(table) // len(VIEWS)} slices in each view")
