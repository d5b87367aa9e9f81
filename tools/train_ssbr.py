"""Train the packaged body part regressor on volumes whose licence lets the weights be shipped.

    python tools/train_ssbr.py --data ../shared/data

Without options: the recipe of the packaged weights (trial `grown` of benchmarks/ssbr_trials.py).
The recipe before it: --mix base=150 --growths 0 --steps 450 --base-seed 1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from lesiongraph.bodypart import (
    DESIGNS,
    CompactNetwork,
    SliceMode,
    SsbrDesign,
    SsbrModel,
    TrainingVolume,
    Variation,
    ZMap,
    seeded_network,
    train_ssbr,
    training_volumes,
    volume_correlations,
)
from lesiongraph.embedding import load_narrow
from lesiongraph.phantom import sample_plain_volume, sample_training_volume
from lesiongraph.recipe import SsbrRecipe
from ssbr_volumes import dicom_volumes, nifti_volumes, png_volumes

WEIGHTS = Path(__file__).resolve().parents[1] / "src/lesiongraph/bodypart/weights"
DICOM_SHIPPABLE = (
    "LIDC-IDRI-0001",
    "Pancreas-CT-CB_001",
    "CRLM-CT-1004",
    "Lung_Dx-A0001_s3",
    "ACRIN-FLT-Breast_001_19600101",
)  # not ACRIN-FLT-Breast_001_19600305: a head with raised arms, which no volume ties to a neck
# A short series that nothing ties to a body, and the volume that ends where it begins (read by eye: both show
# the ischial rami beside the femoral shafts). Trained on alone, these thighs came out in the abdomen.
SEQUELS = {"ssbr-000046_02_6": "TCGA-OV_09-2043"}
SEQUEL_INTERVAL_MM = 5.5  # every second of 3 mm above, 5 mm (not recorded; usual in that data) below

REAL_VOLUMES = 18  # of the shippable ones

Mix = tuple[tuple[str, int], ...]  # kind of training phantom -> how many
SHIPPED_MIX: Mix = (("base", 300), ("belly", 120), ("low", 80), ("neck", 40))
SHIPPED_STEPS = 3 * 450
SHIPPED_GROWTHS = 0.25  # share of views in which a growth fills the belly
BASE_SEED = 77  # of "base" phantoms; judged are phantoms of other seeds
_KIND_SEEDS = {"belly": 78, "low": 79, "neck": 80}
_REGIONS = {
    "belly": ("abdomen-pelvis", "chest-abdomen-pelvis", "neck-to-thigh", "abdomen", "pelvis"),
    "low": ("pelvis-thigh", "pelvis", "abdomen-pelvis", "neck-to-thigh"),
    "neck": ("neck-chest", "head-neck", "shoulders", "neck-to-thigh"),
}

# Median z of the lesions of a type in DeepLesion's official validation split (facts about the authors' scale,
# not pixels): mediastinum n = 353, liver 233, kidney 100, pelvis 183.
AUTHORS_Z = {"mediastinum": 0.444, "liver": 0.607, "kidney": 0.652, "pelvis": 0.799}
# The slice through the middle of the organ, read by eye; mediastinum: carina, pelvis: acetabular roof.
ANCHORS = {
    "CPTAC-PDA_C3N-00249": {"mediastinum": 30, "liver": 71, "kidney": 95},
    "CRLM-CT-1004": {"liver": 13, "kidney": 28},
    "Pancreas-CT-CB_001": {"mediastinum": 2, "liver": 22, "kidney": 33},
    "ACRIN-FLT-Breast_001_19600104": {"liver": 13, "kidney": 36, "pelvis": 86},
    "TCGA-OV_09-2043": {"pelvis": 127},
}


def drawn_phantom(kind: str, i: int, base_seed: int = BASE_SEED, mode: SliceMode = "body") -> TrainingVolume:
    """Draw the i-th training phantom of a kind.

    base: every second an ordinary one, the others varied more than reality; belly: stretched by ascites or
    one growth; low: pelvis and thighs; neck: neck and shoulders.
    """
    rng = np.random.default_rng([_KIND_SEEDS.get(kind, base_seed), i])
    if kind == "base":
        drawn = sample_training_volume(rng) if i % 2 else sample_plain_volume(rng)
    else:
        region = _REGIONS[kind][i % len(_REGIONS[kind])]
        drawn = sample_training_volume(rng, region=region, full_belly=kind == "belly")
    return TrainingVolume.read(drawn.hu, (1.0, 1.0), f"{kind} {i}", interval_mm=drawn.interval_mm, mode=mode)


def weighted(phantoms: Sequence[TrainingVolume], share: float) -> list[TrainingVolume]:
    """Let phantoms together weigh `share` to the real volumes' 1 - `share`."""
    weight = REAL_VOLUMES * share / (1 - share) / max(1, len(phantoms))
    return [replace(phantom, weight=weight) for phantom in phantoms]


def phantom_volumes(
    mix: Mix, share: float, base_seed: int = BASE_SEED, mode: SliceMode = "body"
) -> list[TrainingVolume]:
    """Draw the phantom bodies of a mix, weighted by `share`."""
    wanted = [(kind, i) for kind, count in mix for i in range(count)]
    return weighted([drawn_phantom(kind, i, base_seed, mode) for kind, i in wanted], share)


def read_mix(items: Sequence[str]) -> Mix:
    """Read `base=300 belly=120` from the command line."""
    mix = []
    for item in items:
        kind, _, count = item.partition("=")
        if kind not in {"base", *_REGIONS} or not count.isdigit():
            raise SystemExit(
                f"--mix: expected KIND=COUNT with a kind of base, {', '.join(_REGIONS)}; got {item!r}"
            )
        mix.append((kind, int(count)))
    return tuple(mix)


def imagenet_start() -> CompactNetwork:
    """Return a network with the packaged narrow VGG-16 as its trunk, for grey pictures instead of colour.

    The first convolution's three colour filters are added up: a grey picture has the same value in each.
    """
    network = seeded_network("compact", 0)
    assert isinstance(network, CompactNetwork)
    state = load_narrow().state_dict()
    first = next(key for key, value in state.items() if value.ndim == 4)
    state[first] = state[first].sum(dim=1, keepdim=True)
    network.trunk.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    return network


def anchored(model: SsbrModel, volumes: list[TrainingVolume]) -> ZMap:
    """Fit the line score -> z through organs whose z the authors' own scores tell (`ANCHORS`)."""
    points = []
    for name, slices in ANCHORS.items():
        (volume,) = (volume for volume in volumes if volume.name.startswith(name))
        score = model.score(volume.slices)
        for organ, index in slices.items():
            near = score[max(0, index - 2) : index + 3]
            points.append((float(np.median(near)), AUTHORS_Z[organ]))
            print(f"  anchor {name} {organ}: score {points[-1][0]:.3f}, z {points[-1][1]:.3f}")
    scores, z = np.array(points).T
    slope, offset = np.polyfit(scores, z, 1)
    print(f"  residual {np.std(z - slope * scores - offset):.4f} of z, {len(points)} anchors")
    return ZMap(float(slope), float(offset))


def shippable_volumes(data: Path, mode: SliceMode) -> list[TrainingVolume]:
    """Every real volume that shows the trunk and whose licence lets derived weights be shipped.

    The cropped sarcomas (sts/) are left out: Eq. 2 orders a crop's slices, but nothing says where it lies.
    """
    volumes = [volume for volume in nifti_volumes(data) if volume.open_licence]
    volumes += dicom_volumes([data / "dicom" / name for name in DICOM_SHIPPABLE])
    learned = []
    for volume in [*volumes, *png_volumes(data)]:
        series = TrainingVolume.read(volume.hu, volume.spacing_mm, volume.name, mode=mode)
        learned += training_volumes(series, volume.position_mm)
    return learned


def tied(volumes: list[TrainingVolume]) -> list[TrainingVolume]:
    """Join each of `SEQUELS` to the lower half of the volume that ends where it begins; else leave it out."""
    kept = [volume for volume in volumes if volume.name not in SEQUELS]
    for lower in volumes:
        above = SEQUELS.get(lower.name)
        for upper in (volume for volume in kept if volume.name == above):
            half = upper.chosen(np.arange(len(upper.slices) // 2, len(upper.slices), 2), SEQUEL_INTERVAL_MM)
            kept.append(half.followed_by(lower, f"{lower.name} behind {above}"))
            break
    return kept


def described_model(
    model: SsbrModel, design: SsbrDesign, real: list[TrainingVolume], **notes: object
) -> SsbrModel:
    """Give a trained model its name, the authors' z and the notes that go with the weights."""
    model.name = f"ssbr-{design.name}"
    model.z_map = anchored(model, real)
    model.notes["trained_on"] = ", ".join(volume.name for volume in real)
    if design.network == "compact":
        model.notes["trunk"] = (
            "narrow VGG-16 of lesiongraph.embedding, ImageNet, distilled; fine-tuned from its third block on"
        )
    model.notes.update({name: str(value) for name, value in notes.items()})
    return model


def write_described(model: SsbrModel, path: Path) -> dict[str, object]:
    """Write the weights and, beside them, a JSON that says what they are; return what it holds."""
    model.save(path)
    described = {"name": model.name, "sha256": model.sha256, "z_map": asdict(model.z_map), **model.notes}
    path.with_suffix(".json").write_text(json.dumps(described, indent=2) + "\n")
    return described


def main() -> None:
    """Train, report r per volume, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--design", choices=sorted(DESIGNS), default="compact")
    parser.add_argument("--steps", type=int, default=SHIPPED_STEPS, help="0: the design's number")
    shipped = [f"{kind}={count}" for kind, count in SHIPPED_MIX]
    parser.add_argument("--mix", nargs="*", default=shipped, help=f"phantoms; left out: {' '.join(shipped)}")
    parser.add_argument("--base-seed", type=int, default=BASE_SEED, help="of the base phantoms")
    parser.add_argument("--growths", type=float, default=SHIPPED_GROWTHS, help="share of views with one")
    parser.add_argument("--phantom-share", type=float, default=0.4, help="of the volumes drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "ssbr-compact.safetensors")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    design = replace(DESIGNS[arguments.design], variation=Variation(growths=arguments.growths))
    mix, share = read_mix(arguments.mix), arguments.phantom_share
    real = shippable_volumes(arguments.data, design.slice_mode)
    volumes = tied(real) + phantom_volumes(mix, share, arguments.base_seed, design.slice_mode)
    started = time.monotonic()

    def progress(step: int, total: int, loss: float) -> None:
        if step % 50 == 0 or step == total:
            print(f"step {step}/{total} loss {loss:.3f} {time.monotonic() - started:.0f} s", flush=True)

    model = train_ssbr(
        volumes,
        SsbrRecipe(),
        arguments.seed,
        steps=arguments.steps or None,
        progress=progress,
        design=design,
        start=imagenet_start() if design.network == "compact" else None,
        device=arguments.device,
    )
    described_model(
        model,
        design,
        real,
        phantoms=", ".join(f"{count} {kind}" for kind, count in mix),
        phantom_share=share,
        growths=arguments.growths,
        steps=design.trainings * (arguments.steps or design.steps or SsbrRecipe().steps),
        seed=arguments.seed,
    )
    described = write_described(model, arguments.out)
    r = volume_correlations(model.network, volumes)
    for volume, value in sorted(zip(volumes, r, strict=True), key=lambda pair: pair[1])[:12]:
        print(f"  lowest r: {volume.name} {value:.3f}")
    print(arguments.out, json.dumps(described))


if __name__ == "__main__":
    main()
