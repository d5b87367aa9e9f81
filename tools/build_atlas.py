"""Build the atlas (z → landmark, region, expected error) of SSBR weights; run it whenever the weights change.

python tools/build_atlas.py --data ../shared/data

Phantoms tell most landmarks, the real volumes those of tools/ssbr_landmarks.csv. Without --data the atlas is
made of phantoms alone. The expected error is that of patients never seen: phantoms no training drew, real
patients never trained on and, where --folds holds models, those trained on as scored by the model that left
them out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from lesiongraph.bodypart import (
    PACKAGED_ATLAS,
    Atlas,
    CheckedError,
    ScoredVolume,
    SsbrModel,
    build_atlas,
    cross_section,
    shows_patient,
    slice_input,
)
from lesiongraph.phantom import sample_plain_volume, sample_training_volume
from ssbr_left_out import LeftOut, line_through, mean_z, on_scale_of, read_folds, score_at
from ssbr_volumes import LANDMARKS, REPEATED, patient_of, read_landmarks, real_volumes

WEIGHTS = Path(__file__).resolve().parents[1] / "src/lesiongraph/bodypart/weights"
RNG_SEED = 20_260  # training draws other phantoms
FOLDS = Path(__file__).resolve().parents[1] / ".scratch" / "ssbr-folds" / "packaged"


@dataclass(frozen=True)
class Seen:
    """A scored volume with the inputs that other models score."""

    scored: ScoredVolume
    slices: np.ndarray  # (n, 128, 128) uint8


def phantom_volumes(model: SsbrModel, count: int) -> Iterator[Seen]:
    """Score phantoms that no training saw; every second an ordinary one, the others varied beyond reality."""
    for i in range(count):
        sample = sample_training_volume if i % 2 else sample_plain_volume
        drawn = sample(np.random.default_rng([RNG_SEED, i]))
        position_mm = drawn.interval_mm * np.arange(len(drawn.hu))
        yield _scored(model, f"phantom {i}", "phantom", drawn.hu, (1.0, 1.0), position_mm, drawn.landmarks)


def marked_volumes(model: SsbrModel, data: Path) -> Iterator[Seen]:
    """Score the real volumes that have landmarks; a patient trained on in one series is so in all."""
    trained = {patient_of(name) for name in model.notes.get("trained_on", "").split(", ")}
    marks = {name: at for name, at in read_landmarks().items() if name not in REPEATED}
    if not marks:
        print(f"  no {LANDMARKS.name}: phantoms alone")
        return
    for volume in real_volumes(data):
        if volume.name in marks:
            named = marks.pop(volume.name)
            seen = _scored(
                model, volume.name, "real", volume.hu, volume.spacing_mm, volume.position_mm, named
            )
            known = "trained on" if volume.patient in trained else "never"
            yield replace(seen, scored=replace(seen.scored, training=known))
    if marks:
        raise SystemExit(f"{LANDMARKS.name} names volumes that {data} does not hold: {', '.join(marks)}")


def _scored(model, name, source, hu, spacing_mm, position_mm, landmarks):  # type: ignore[no-untyped-def]
    slices = np.stack([slice_input(one, spacing_mm, mode=model.slice_mode) for one in hu])
    patient = patient_of(name) if source == "real" else name
    score, body = model.score(slices), shows_patient(slices)
    position = np.asarray(position_mm, float)
    return Seen(ScoredVolume(name, patient, source, score, body, position, dict(landmarks)), slices)


def _marked_z(model: SsbrModel, volume: ScoredVolume) -> list[tuple[str, float]]:
    at = [(name, score_at(volume.score, index)) for name, index in volume.landmarks.items()]
    return [(name, float(model.to_z(score))) for name, score in at]


def _scores_at(model: SsbrModel, slices: np.ndarray, at: Sequence[float]) -> list[float]:
    """Score between slices, as `score_at` would; only the slices beside are scored."""
    if not at:
        return []
    last = len(slices) - 1
    near = sorted({min(max(int(side(index)), 0), last) for index in at for side in (np.floor, np.ceil)})
    return [float(value) for value in np.interp(at, near, model.score(slices[near]))]


def left_out_volumes(
    model: SsbrModel, volumes: Sequence[Seen], folds: Sequence[LeftOut]
) -> list[ScoredVolume]:
    """Score each fold's patients by the model that left them out, on the packaged model's scale.

    The scale comes from phantoms and from the fold's other patients.
    """
    found = []
    for fold in folds:
        own = [seen for seen in volumes if seen.scored.patient in fold.patients]
        others = [seen for seen in volumes if seen.scored.patient not in fold.patients]
        reference = mean_z((seen.scored.patient, _marked_z(model, seen.scored)) for seen in others)
        points = []
        for seen in others:
            marks = {name: at for name, at in seen.scored.landmarks.items() if name in reference}
            scores = _scores_at(fold.model, seen.slices, list(marks.values()))
            points += [(score, reference[name]) for name, score in zip(marks, scores, strict=True)]
        line = line_through(points)
        for seen in own:
            score = on_scale_of(model, fold.model.score(seen.slices), line)
            found.append(replace(seen.scored, score=score, training="left out"))
    return found


def print_sections(data: Path) -> None:
    """Print what the thresholds of `cross_section` stand on: the sizes of the real sections."""
    print(f"{'volume':40s} {'narrowest':>9s} {'median':>7s} {'enclosed':>8s} {'cut':>5s} {'view':>5s}")
    for volume in real_volumes(data):
        found = [cross_section(one, volume.spacing_mm) for one in volume.hu[::2]]
        whole = [section.width_mm for section in found if section.measured]
        narrowest, median = (np.min(whole), np.median(whole)) if whole else (np.nan, np.nan)
        enclosed = max(section.enclosed for section in found)
        cut = np.mean([section.cut for section in found])
        print(
            f"{volume.name:40s} {narrowest:6.0f} mm {median:4.0f} mm {enclosed:8.2f} {cut:5.2f} "
            f"{found[0].view_mm:5.0f}"
        )


def report(atlas: Atlas, checked: list[CheckedError]) -> None:
    """Print the table, where real and phantom rows differ, and how well the expected error holds."""
    print(f"{'landmark':20s} {'source':8s} {'z':>7s} {'sd':>7s} {'n':>4s}")
    for row in sorted(atlas.landmarks, key=lambda row: (row.z, row.source)):
        used = "" if row in atlas.table else "  (not used)"
        print(f"{row.name:20s} {row.source:8s} {row.z:7.3f} {row.sd:7.3f} {row.n:4d}{used}")
    for a, b in atlas.disagreements():
        print(f"  phantom and real differ: {a.name} {a.z:.3f} (n {a.n}) against {b.z:.3f} (n {b.n})")
    for region in atlas.regions:
        print(f"{region.name:8s} {region.z_from:.3f} – {region.z_to:.3f}")
    print(f"borders: {atlas.rules}; known range {atlas.range[0]:.3f} – {atlas.range[1]:.3f}")
    print(f"1 cm is {10 * atlas.z_per_mm:.4f} of z; expected error: {atlas.z_error}")
    print(f"{'patients':18s} {'cut to':>8s}     n  rms error    z_sd  <1 sd  <2 sd")
    groups: dict[str, list[CheckedError]] = {}
    for error_found in checked:
        fitted = "" if error_found.training != "trained on" else " *"
        group = "phantom" if error_found.source == "phantom" else f"real, {error_found.training}{fitted}"
        groups.setdefault(group, []).append(error_found)
    for group, members in groups.items():
        for span_mm in sorted({c.span_asked_mm for c in members}):
            some = [c.sample for c in members if c.span_asked_mm == span_mm]
            error = np.array([s.error for s in some])
            sd = atlas.z_sd([s.span_mm for s in some], [s.residual_z for s in some])
            ratio = np.abs(error) / sd
            name = "alone" if span_mm == 0 else "whole" if np.isinf(span_mm) else f"{span_mm:g} mm"
            print(
                f"{group:18s} {name:>8s} {len(some):5d} {np.sqrt(np.mean(error**2)):10.4f} "
                f"{np.mean(sd):7.4f} {np.mean(ratio < 1):6.2f} {np.mean(ratio < 2):6.2f}"
            )

    print("* not fitted to")


def main() -> None:
    """Score, build, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="real volumes; left out: phantoms alone")
    parser.add_argument("--weights", type=Path, help="left out: the packaged weights")
    parser.add_argument("--phantoms", type=int, default=80)
    parser.add_argument("--folds", type=Path, default=FOLDS, help="models of benchmarks/ssbr_folds.py")
    parser.add_argument("--out", type=Path, default=WEIGHTS / PACKAGED_ATLAS)
    parser.add_argument("--sections", action="store_true", help="only print the sizes of the real sections")
    arguments = parser.parse_args()
    if arguments.sections:
        print_sections(arguments.data)
        return
    torch.set_num_threads(1)
    started = time.monotonic()
    model = SsbrModel.load(arguments.weights)
    volumes = list(phantom_volumes(model, arguments.phantoms))
    if arguments.data is not None:
        volumes += marked_volumes(model, arguments.data)
    folds = read_folds(arguments.folds)
    left_out = left_out_volumes(model, volumes, folds)
    print(f"{len(folds)} fold models in {arguments.folds.name}: {len(left_out)} volumes of patients left out")
    atlas, checked = build_atlas(model, [seen.scored for seen in volumes], left_out)
    report(atlas, checked)
    atlas.save(arguments.out)
    print(f"{arguments.out.name}: {len(volumes)} volumes, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
