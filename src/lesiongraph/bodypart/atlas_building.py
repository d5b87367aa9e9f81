"""Volumes whose landmarks are known → the atlas of a model: z of each landmark, borders, expected error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lesiongraph.bodypart.atlas import Atlas, Landmark, Region
from lesiongraph.bodypart.body_tags import REGIONS
from lesiongraph.bodypart.locate import locate_scores
from lesiongraph.bodypart.model import SsbrModel
from lesiongraph.bodypart.series_fit import LOW_R, ODD_SLOPE, UPSIDE_DOWN
from lesiongraph.bodypart.uncertainty import ErrorSample, ZError, fit_z_error
from lesiongraph.errors import NotEnoughDataError

Source = Literal["phantom", "real"]
_SOURCES: tuple[Source, Source] = ("phantom", "real")
Training = Literal["never", "left out", "trained on"]

# Which landmark draws a border: the first that the volumes know, and how many mm below it.
# The skull's base lies about 4 cm above the hyoid; lung in a slice makes it chest, liver makes it abdomen.
BORDERS: dict[str, tuple[tuple[str, float], ...]] = {
    "head|neck": (("skull base", 0.0), ("hyoid", -40.0)),
    "neck|chest": (("lung apex", 0.0), ("thoracic inlet", 0.0)),
    "chest|abdomen": (("liver dome", 0.0),),
    "abdomen|pelvis": (("iliac crest", 0.0),),
    "pelvis|thigh": (("ischial tuberosity", 0.0),),
}
SPANS_MM = (0.0, 40.0, 80.0, 160.0, 320.0, np.inf)  # lengths of series that the expected error is fitted to
_REFERENCE_PATIENTS = 3  # so many others must tell where a landmark lies before an error against it counts


@dataclass(frozen=True)
class ScoredVolume:
    """One volume with known landmarks.

    `score` (n,) raw, head to foot; `body` (n,) from `shows_patient`; `position_mm` (n,); `landmarks` name →
    fractional slice index from the head. Volumes of one `patient` count once. `training`: how the model that
    gave the scores stands to the patient: never used, "left out" of this model's training only, "trained on".
    """

    name: str
    patient: str
    source: Source
    score: NDArray[np.float64]
    body: NDArray[np.bool_]
    position_mm: NDArray[np.float64]
    landmarks: dict[str, float]
    training: Training = "never"


@dataclass(frozen=True)
class CheckedError:
    """An error sample with where it comes from, for the calibration's printout."""

    source: Source
    volume: str
    landmark: str
    span_asked_mm: float
    sample: ErrorSample
    training: Training = "never"


def build_atlas(
    model: SsbrModel, volumes: Sequence[ScoredVolume], left_out: Sequence[ScoredVolume] = ()
) -> tuple[Atlas, list[CheckedError]]:
    """Build the atlas of a model.

    Parameters
    ----------
    model : SsbrModel
    volumes : sequence of ScoredVolume
        Scored by the model; they set the landmarks. Of those it was trained on no error is learned.
    left_out : sequence of ScoredVolume
        The same patients scored by models of the same design that did not see them, on the model's scale:
        they tell the error of such patients.

    Returns
    -------
    atlas : Atlas
    checked : list of CheckedError
        z of a landmark in one patient against its mean in the others of the same source, in series cut to
        several lengths. The expected error is fitted to those of patients that the scorer never saw.

    Raises
    ------
    NotEnoughDataError
        If a border's landmark is in none of the volumes.
    ValueError
        If there are too few errors of patients never seen.
    """
    landmarks = tuple(_landmarks(model, volumes))
    z_per_mm = model.z_map.slope * model.score_per_mm
    by_name = {row.name: row for row in sorted(landmarks, key=lambda row: (row.source == "real", row.n))}
    regions, rules = _regions(by_name, z_per_mm)
    checked = list(_errors(model, volumes, [*volumes, *left_out]))
    atlas = Atlas(
        model_name=model.name,
        model_sha256=model.sha256,
        landmarks=landmarks,
        regions=regions,
        z_per_mm=z_per_mm,
        z_error=_fit_evenly([each for each in checked if each.training != "trained on"]),
        rules=rules,
    )
    # borders again from the rows that the atlas itself believes (real ones of enough patients)
    regions, rules = _regions({row.name: row for row in atlas.table}, z_per_mm)
    return Atlas(**{**atlas.__dict__, "regions": regions, "rules": rules}), checked


def _landmarks(model: SsbrModel, volumes: Sequence[ScoredVolume]) -> Iterator[Landmark]:
    for source in _SOURCES:
        found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for volume in volumes:
            if volume.source == source:
                for name, z in _landmark_z(model, volume).items():
                    found[name][volume.patient].append(z)
        rows = []
        for name, patients in found.items():
            means = np.array([np.mean(values) for values in patients.values()])
            sd = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
            rows.append(Landmark(name, round(float(means.mean()), 4), round(sd, 4), len(means), source))
        yield from sorted(rows, key=lambda row: row.z)


def _landmark_z(model: SsbrModel, volume: ScoredVolume) -> dict[str, float]:
    """z of a volume's landmarks; none where its scores contradict its positions."""
    found = locate_scores(model, volume.score, volume.body, volume.position_mm)
    if {LOW_R, ODD_SLOPE, UPSIDE_DOWN} & set(found.flags):
        return {}
    slices = np.arange(len(found.z))
    return {name: float(np.interp(at, slices, found.z)) for name, at in volume.landmarks.items()}


def _regions(landmarks: dict[str, Landmark], z_per_mm: float) -> tuple[tuple[Region, ...], dict[str, str]]:
    z_borders, rules = [0.0], {}
    for border, choices in BORDERS.items():
        known = [(name, offset_mm) for name, offset_mm in choices if name in landmarks]
        if not known:
            raise NotEnoughDataError(
                f"border {border} of the atlas", " or ".join(name for name, _ in choices), "no such landmark",
                "Score more phantoms (--phantoms).",
            )  # fmt: skip
        name, offset_mm = known[0]
        row = landmarks[name]
        # beyond the trained range z rises ever more slowly: a border is never led out of (0, 1)
        z_borders.append(round(max(row.z + offset_mm * z_per_mm, 0.5 * row.z), 4))
        shift = f" {offset_mm:+.0f} mm" if offset_mm else ""
        rules[border] = f"{name}{shift} ({row.source}, n = {row.n})"
    z_borders.append(1.0)
    regions = zip(REGIONS, z_borders[:-1], z_borders[1:], strict=True)
    return tuple(Region(name, low, high) for name, low, high in regions), rules


def _errors(
    model: SsbrModel, volumes: Sequence[ScoredVolume], judged: Sequence[ScoredVolume]
) -> Iterator[CheckedError]:
    """z of each landmark in judged series cut to several lengths, less its mean in others' volumes."""
    whole: dict[tuple[Source, str], dict[str, float]] = defaultdict(dict)
    for volume in volumes:
        for name, z in _landmark_z(model, volume).items():
            whole[volume.source, name][volume.patient] = z
    for volume in judged:
        for name, at in volume.landmarks.items():
            others = [z for who, z in whole[volume.source, name].items() if who != volume.patient]
            if len(others) < _REFERENCE_PATIENTS:
                continue
            for span_mm in SPANS_MM:
                cut = _cut(model, volume, at, span_mm)
                if cut is not None:
                    z, real_span_mm, residual_z = cut
                    sample = ErrorSample(z - float(np.mean(others)), real_span_mm, residual_z)
                    yield CheckedError(volume.source, volume.name, name, span_mm, sample, volume.training)


def _cut(
    model: SsbrModel, volume: ScoredVolume, at: float, span_mm: float
) -> tuple[float, float, float] | None:
    """z at slice `at` of the series cut to `span_mm` round it, its span and residual; None if not so long."""
    if span_mm == 0:
        i = round(at)
        return (float(model.to_z(volume.score[i])), 0.0, float("nan")) if volume.body[i] else None
    if not np.isfinite(volume.position_mm).all():
        return None
    centre = float(np.interp(at, np.arange(len(volume.position_mm)), volume.position_mm))
    inside = np.flatnonzero(np.abs(volume.position_mm - centre) <= span_mm / 2)
    if np.isfinite(span_mm) and np.ptp(volume.position_mm) < span_mm:
        return None
    found = locate_scores(model, volume.score[inside], volume.body[inside], volume.position_mm[inside])
    if not np.isfinite(found.span_mm) or {LOW_R, ODD_SLOPE, UPSIDE_DOWN} & set(found.flags):
        return None
    z = float(np.interp(centre, volume.position_mm[inside], found.z))
    return z, found.span_mm, found.residual_mm * model.score_per_mm * model.z_map.slope


def _fit_evenly(checked: Sequence[CheckedError]) -> ZError:
    """Fit the expected error; real patients weigh as much together as the phantoms, few as they are."""
    counts = {source: sum(c.source == source for c in checked) for source in _SOURCES}
    samples = [
        ErrorSample(c.sample.error, c.sample.span_mm, c.sample.residual_z, 1.0 / counts[c.source])
        for c in checked
    ]
    return fit_z_error(samples)
