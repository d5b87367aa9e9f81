"""How good is z? The packaged regressor, models that left patients out, and baselines, side by side.

    python benchmarks/ssbr.py [--data ../shared/data]   # a minute; models of folds where they are cached
    python benchmarks/ssbr_folds.py --fold 0            # trains one fold into the cache
    python benchmarks/ssbr_speed.py                     # slices a second

The authors' z of DeepLesion slices is compared with, never trained on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from lesiongraph.bodypart import SsbrModel
from locating.candidates import (
    Candidate,
    SliceIndex,
    TrueZ,
    from_folds,
    packaged,
    random_network,
    with_z_map,
)
from locating.folds import VARIANTS, load_folds
from locating.prepared import Prepared, deeplesion_slices, phantom_prepared, real_prepared
from locating.report import (
    print_classes,
    print_correlations,
    print_deeplesion,
    print_spread,
    print_views,
)
from provenance import REPOSITORY, add_data_argument, print_header, skip_without
from ssbr_left_out import mean_z, score_at

KINDS = (("as the phantom hospital scans them", True), ("varied beyond reality", False))
_FIT_SEED, _TEST_SEED = 9001, 9002  # phantoms never trained on


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument(
        "--phantoms", type=int, default=40, help="of each kind to judge by; a third as many to calibrate"
    )
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".scratch" / "ssbr-folds")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__, threads=1)
    fewer = max(2, chosen.phantoms // 3)
    calibration = {kind: list(phantom_prepared(fewer, _FIT_SEED, plain=plain)) for kind, plain in KINDS}
    phantoms = {
        kind: list(phantom_prepared(chosen.phantoms, _TEST_SEED, plain=plain)) for kind, plain in KINDS
    }
    ordinary = calibration[KINDS[0][0]]
    ours = packaged(SsbrModel.load(chosen.weights))
    others = [random_network()]
    for name, variant in VARIANTS.items():
        others += from_folds(variant.label, load_folds(chosen.cache, name))
    for candidate in [ours, *others]:
        print(f"{candidate.label}: {candidate.budget or 'as it is'}")

    skip = not (chosen.data / "volumes").exists()
    real = [] if skip else list(real_prepared(chosen.data))
    # where both know a landmark, the real patients' z counts
    reference = {**reference_z(ours, ordinary), **reference_z(ours, real)}
    calibrate(ours, others, real, ordinary)
    everyone = [SliceIndex(), ours, *others]
    for kind, _ in KINDS:
        print(f"-- phantoms {kind}")
        on_phantoms(everyone, calibration[kind], phantoms[kind], reference)
    skip_without(
        chosen.data / "volumes", chosen.data / "deeplesion", chosen.data / "deeplesion_mini" / "DL_info.csv"
    )
    on_volumes(everyone, real, ordinary, reference, reference_z(ours, ordinary))
    print("(d) Spearman with the authors' z: DeepLesion key slices, 8 bit, no spacing, no neighbours")
    known, inputs = deeplesion_slices(chosen.data)
    for candidate in [ours, *others]:
        print_deeplesion(candidate, known, inputs)


def reference_z(ours: Candidate, volumes: Sequence[Prepared]) -> TrueZ:
    """z of each landmark on the packaged model's scale: its mean over patients, head to foot."""
    model = ours.models[""]
    marked = []
    for volume in volumes:
        score = ours.score(volume)
        at = [(name, score_at(score, index)) for name, index in volume.marks.items()]
        marked.append((volume.patient, [(name, float(model.to_z(value))) for name, value in at]))
    return dict(sorted(mean_z(marked).items(), key=lambda row: row[1]))


def calibrate(
    ours: Candidate, others: Sequence[Candidate], real: Sequence[Prepared], phantoms: Sequence[Prepared]
) -> None:
    """Put every model on the packaged scale, by phantoms and the real patients that it may see.

    Neither its line nor the landmarks' z that the line leads to know anything of the patients left out.
    """
    of_phantoms = reference_z(ours, phantoms)
    for candidate in others:
        for fold, model in candidate.models.items():
            seen = [v for v in real if v.open_licence and candidate.left_out.get(v.patient) != fold]
            own = {**of_phantoms, **reference_z(ours, seen)}
            candidate.models[fold] = with_z_map(model, [*phantoms, *seen], own)


def on_phantoms(
    everyone: Sequence[Candidate],
    calibration: Sequence[Prepared],
    phantoms: Sequence[Prepared],
    reference: TrueZ,
) -> None:
    """Landmarks and classes of phantom patients."""
    print(f"(b) the same landmark in different phantom patients, {len(phantoms)} never trained on; aim 0.03")
    for candidate in everyone:
        print_spread(candidate, phantoms, reference)
    print("(c) chest, abdomen, pelvis on phantoms; thresholds from other phantoms; aim 96 %")
    for candidate in everyone:
        print_classes(candidate, calibration, phantoms, reference)


def on_volumes(
    everyone: Sequence[Candidate],
    real: Sequence[Prepared],
    calibration: Sequence[Prepared],
    reference: TrueZ,
    of_phantoms: TrueZ,
) -> None:
    """Real volumes: r, landmarks, classes, partial views; scatter is stretched by the phantoms' scale."""
    opened = [volume for volume in real if volume.open_licence]
    closed = [volume for volume in real if not volume.open_licence]
    print("(a) r of score and position, real volumes; the slice index has r = 1 by construction")
    for candidate in everyone[1:]:
        left_out = [volume for volume in opened if candidate.held_out(volume)]
        print_correlations(candidate, left_out or opened, "" if left_out else seen(candidate))
    print("(a) the same, volumes that no model was trained on")
    for candidate in everyone[1:]:
        print_correlations(candidate, closed)
    marked = [volume for volume in real if volume.marks]
    if not marked:
        print("no tools/ssbr_landmarks.csv: no landmarks, classes or partial views of real volumes")
        return
    per_mm = z_per_mm(marked, reference)
    print(f"reference z of landmarks: {', '.join(f'{k} {v:.3f}' for k, v in reference.items())}")
    print(f"  {1 / per_mm:.0f} mm a unit of z over {len(marked)} real volumes")
    print("(b) the same landmark in different real patients")
    for candidate in everyone:
        for volumes, note in judged(candidate, marked):
            print_spread(candidate, volumes, of_phantoms, note)
    print("(c) chest, abdomen, pelvis on real volumes, single slices; thresholds from phantoms")
    for candidate in everyone:
        for volumes, note in judged(candidate, marked):
            print_classes(candidate, calibration, volumes, reference, note)
    print("(d2) partial views of single real slices against z between landmarks")
    for candidate in everyone[1:]:
        for volumes, note in judged(candidate, marked):
            print_views(candidate, volumes, reference, per_mm, note)


def judged(candidate: Candidate, volumes: Sequence[Prepared]) -> list[tuple[list[Prepared], str]]:
    """Which volumes a candidate is judged on, and what to say beside its name."""
    unseen = [volume for volume in volumes if candidate.unseen(volume)]
    if not candidate.trained or candidate.left_out:
        return [(unseen, "")]
    return [(unseen, " (patients never trained on)"), (list(volumes), seen(candidate))]


def seen(candidate: Candidate) -> str:
    """What to add to a label where models are judged on patients that they may have learned from."""
    return " (trained on most of them)" if candidate.trained and not candidate.left_out else ""


def z_per_mm(marked: Sequence[Prepared], reference: TrueZ) -> float:
    """Median rise of the reference z a mm between a volume's first and last landmark."""
    rises = []
    for volume in marked:
        marks = sorted((index, reference[name]) for name, index in volume.marks.items() if name in reference)
        if len(marks) > 1 and np.isfinite(volume.position_mm).all():
            at = np.interp(
                [marks[0][0], marks[-1][0]], np.arange(len(volume.position_mm)), volume.position_mm
            )
            rises.append((marks[-1][1] - marks[0][1]) / (at[1] - at[0]))
    return float(np.median(rises))


if __name__ == "__main__":
    main()
