"""Distil VGG-16's four scales into the narrow trunk that ships with the package.

    python tools/distil_trunk.py --data DATA --vgg16 VGG16_FILE [--out FILE] [--steps 800] [--seed 0]

Three steps: (1) crops of real CT whose licence lets weights be shipped (`SHIP` below); (2) each narrow
convolution is set in closed form: the teacher's channels that best explain all of its channels are
chosen, and their responses regressed from the narrow trunk's own input; (3) all layers are tuned so
that linear heads give the teacher's maps, and so that boxes that look alike to the teacher look alike
to the narrow trunk. One volume (`HELD_OUT`) is kept for the agreement that is printed and stored.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import zoom
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from lesiongraph.embedding import NARROW, Trunk, initial_features, load_narrow, load_vgg16
from lesiongraph.embedding.roi_pool import box_windows, roi_pool, whole_windows
from lesiongraph.embedding.trunk import MAP_STRIDES
from lesiongraph.embedding.weights import write_safetensors
from lesiongraph.lesion import BoundingBox

# "ship: yes" in the data folder's README: weights learned from these may be distributed
SHIP = (
    "dicom/LIDC-IDRI-0001",
    "dicom/Pancreas-CT-CB_001",
    "dicom/CRLM-CT-1004",
    "dicom/Lung_Dx-A0001_s2",
    "dicom/Lung_Dx-A0001_s3",
    "dicom/ACRIN-FLT-Breast_001_19600101",
    "dicom/ACRIN-FLT-Breast_001_19600305",
    "sts/STS_002",
    "sts/STS_005",
    "sts/STS_044",
)
HELD_OUT = ("dicom/LIDC-IDRI-0001", "sts/STS_005")
CONTEXT_MM = 2.0
CROP_PX = 128
BATCH = 8
BOXES_PER_CROP = 4
LEARNING_RATE = 2e-4  # the closed form is a good start: a larger rate throws it away first


@dataclass(frozen=True)
class Volume:
    """One CT at 1 mm/px in-plane."""

    hu: NDArray[np.int16]  # (n, h, w), head to foot
    interval_mm: float


@dataclass(frozen=True)
class Crop:
    """A patch without a lesion: three slices and a random box."""

    hu: NDArray[np.int16]  # (3, CROP_PX, CROP_PX)
    box: BoundingBox


# ---------------------------------------------------------------- data


def read_volumes(root: Path) -> dict[str, Volume]:
    """Read every volume of SHIP that is there."""
    found = {}
    for name in SHIP:
        path = root / name
        if not path.exists():
            print(f"{name}: not there, left out")
        elif name.startswith("sts"):
            found[name] = _read_nifti(path / "ct.nii.gz")
        else:
            for number, volume in enumerate(_read_dicom(path)):
                found[f"{name}#{number}" if number else name] = volume
    return found


def _read_nifti(path: Path) -> Volume:
    image = nibabel.load(path)
    x_mm, y_mm, z_mm = image.header.get_zooms()[:3]
    # NIfTI counts towards the patient's left, front and head (or mirrored); here: left, back, feet
    stored = nibabel.as_closest_canonical(image)
    slices = np.asanyarray(stored.dataobj)[::-1, ::-1, ::-1].transpose(2, 1, 0)
    return _volume(slices, (float(y_mm), float(x_mm)), float(z_mm))


def _read_dicom(folder: Path) -> Iterator[Volume]:
    from lesiongraph.mining import mine_sources, open_series

    result = mine_sources([folder])
    for series in result.series.to_dict("records"):
        rows = result.slices[result.slices.series_instance_uid == series["series_instance_uid"]]
        rows = rows.sort_values("slice_index")
        hu = open_series(series, rows).read(list(rows.slice_index))
        hu = hu[:, :: -1 if series["flip_y"] else 1, :: -1 if series["flip_x"] else 1]
        spacing = (float(series["spacing_y_mm"]), float(series["spacing_x_mm"]))
        yield _volume(hu, spacing, float(series["slice_interval_mm"]))


def _volume(slices: NDArray[np.int16], spacing_mm: tuple[float, float], interval_mm: float) -> Volume:
    resized = [zoom(one.astype(np.float32), spacing_mm, order=1) for one in slices]
    return Volume(np.stack(resized).astype(np.int16), abs(interval_mm))


def draw_crop(volume: Volume, rng: np.random.Generator) -> Crop:
    """Draw a crop that holds some body, and a box sized as lesions are (log-uniform 10–70 px)."""
    count, height, width = volume.hu.shape
    for _ in range(100):
        top = int(rng.integers(0, max(1, height - CROP_PX + 1)))
        left = int(rng.integers(0, max(1, width - CROP_PX + 1)))
        key = int(rng.integers(count))
        view = volume.hu[:, top : top + CROP_PX, left : left + CROP_PX]
        if np.mean(view[key] > -300) > 0.2:
            break
    step = CONTEXT_MM / volume.interval_mm
    slices = [_slice_at(view, key + offset * step) for offset in (-1, 0, 1)]
    hu = np.full((3, CROP_PX, CROP_PX), -1024, dtype=np.int16)
    hu[:, : view.shape[1], : view.shape[2]] = np.stack(slices)
    if rng.random() < 0.5:
        hu = np.ascontiguousarray(hu[:, :, ::-1])
    return Crop(hu, draw_box(rng))


def _slice_at(view: NDArray[np.int16], index: float) -> NDArray[np.float32]:
    index = min(max(index, 0.0), len(view) - 1.0)
    low = int(index)
    high = min(low + 1, len(view) - 1)
    return view[low] + np.float32(index - low) * (view[high].astype(np.float32) - view[low])


def draw_box(rng: np.random.Generator) -> BoundingBox:
    """Draw a box inside a crop."""
    width, height = np.exp(rng.uniform(np.log(10), np.log(70), 2))
    x0, y0 = rng.uniform(0, CROP_PX - 1 - width), rng.uniform(0, CROP_PX - 1 - height)
    return BoundingBox(x0, y0, x0 + width, y0 + height)


def draw_crops(volumes: Mapping[str, Volume], count: int, rng: np.random.Generator) -> list[Crop]:
    """Draw crops, each volume in turn."""
    turns = list(volumes.values())
    return [draw_crop(turns[i % len(turns)], rng) for i in range(count)]


# ---------------------------------------------------------------- step 2: closed form


def choose_channels(responses: Tensor, count: int) -> Tensor:
    """Choose the channels that together explain most of all channels' variance, greedily.

    `responses` (n, C) after ReLU; each choice is the channel whose removal from all residuals (by
    regression on it) takes away most.
    """
    centred = (responses - responses.mean(0)).double()
    gram = centred.T @ centred / len(centred)
    floor = gram.diagonal().max() * 1e-9
    chosen: list[int] = []
    for _ in range(count):
        gain = gram.square().sum(0) / gram.diagonal().clamp(min=floor)
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        column = gram[:, best].clone()
        gram -= torch.outer(column, column) / column[best].clamp(min=floor)
    return torch.tensor(sorted(chosen))


def regress(inputs: Tensor, targets: Tensor, ridge: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Least squares with intercept: weights (out, in) and bias (out,)."""
    inputs, targets = inputs.double(), targets.double()
    mean_in, mean_out = inputs.mean(0), targets.mean(0)
    centred = inputs - mean_in
    gram = centred.T @ centred / len(inputs)
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    weights = torch.linalg.solve(gram, centred.T @ (targets - mean_out) / len(inputs)).T
    return weights.float(), (mean_out - weights @ mean_in).float()


def set_in_closed_form(student: Trunk, teacher: Trunk, hu: Tensor, rng: np.random.Generator) -> None:
    """Set every convolution of the student from the teacher's responses to `hu` (B, 3, H, W)."""
    x_teacher = x_student = teacher.prepare(hu)
    for layer_teacher, layer_student in zip(teacher.features, student.features, strict=True):
        if isinstance(layer_teacher, nn.Conv2d) and isinstance(layer_student, nn.Conv2d):
            before = layer_teacher(x_teacher)
            batch, channels, height, width = before.shape
            cells = rng.choice(batch * height * width, min(24_000, batch * height * width), replace=False)
            chosen_cells = torch.from_numpy(cells)
            flat = before.permute(0, 2, 3, 1).reshape(-1, channels)[chosen_cells]
            wanted = choose_channels(functional.relu(flat), layer_student.out_channels)
            columns = _neighbourhoods(x_student, chosen_cells)
            weights, bias = regress(columns, flat[:, wanted])
            layer_student.weight.copy_(weights.view_as(layer_student.weight))
            assert layer_student.bias is not None
            layer_student.bias.copy_(bias)
            x_teacher, x_student = functional.relu(before), functional.relu(layer_student(x_student))
        elif isinstance(layer_teacher, nn.MaxPool2d):
            x_teacher, x_student = layer_teacher(x_teacher), layer_teacher(x_student)


def _neighbourhoods(x: Tensor, cells: Tensor) -> Tensor:
    """Return the 3×3 neighbourhoods (n, 9·C) of the chosen cells, ordered as a convolution's weight."""
    channels, height, width = x.shape[1:]
    padded = functional.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1)
    image, rest = cells // (height * width), cells % (height * width)
    row, column = rest // width, rest % width
    parts = [padded[image, row + dy, column + dx] for dy in range(3) for dx in range(3)]
    return torch.stack(parts, dim=2).reshape(len(cells), channels * 9)


# ---------------------------------------------------------------- step 3: tuning


def pool_boxes(maps: list[Tensor], boxes: Tensor, owner: Tensor) -> list[Tensor]:
    """1×1 features of boxes (n, 4) on the crops `owner` (n,): the paper's ROI for each scale."""
    pooled = []
    for scale, (stride, cells) in enumerate(zip(MAP_STRIDES, maps, strict=True)):
        extents = torch.tensor(cells.shape[2:]).expand(len(boxes), 2)
        last = scale == len(maps) - 1
        windows = whole_windows(extents) if last else box_windows(boxes, stride, extents)
        pooled.append(roi_pool(cells[owner], windows, 1).flatten(1))
    return pooled


def cosines(features: Tensor, owner: Tensor) -> Tensor:
    """Return the cosines of all pairs of boxes of different crops."""
    unit = functional.normalize(features, dim=1)
    pairs = torch.triu(owner[:, None] != owner[None], diagonal=1)
    return (unit @ unit.T)[pairs]


def relation_loss(ours: Tensor, theirs: Tensor) -> Tensor:
    """One minus the correlation of two lists of cosines, plus their squared difference over the spread."""
    spread = theirs.std() + 1e-6
    a, b = ours - ours.mean(), theirs - theirs.mean()
    correlation = (a * b).sum() / (a.norm() * b.norm() + 1e-9)
    return (1 - correlation) + 0.1 * ((ours - theirs) / spread).square().mean()


def map_loss(ours: Tensor, theirs: Tensor, variance: Tensor) -> Tensor:
    """Mean squared difference of maps as a share of the teacher's variance."""
    return (ours - theirs).square().mean() / variance


class Tuning:
    """Student, its linear heads, and the teacher's maps of all training crops (float16)."""

    def __init__(self, student: Trunk, teacher: Trunk, crops: list[Crop]) -> None:
        self.student = student
        self.hu = torch.from_numpy(np.stack([crop.hu for crop in crops]))
        with torch.inference_mode():
            batches = [teacher(part.float()) for part in self.hu.split(BATCH)]
        self.targets = [torch.cat([one[i].half() for one in batches]).clone() for i in range(4)]
        self.variances = [t[:64].float().var((0, 2, 3)).mean() for t in self.targets]
        self.heads = nn.ModuleList(
            nn.Conv2d(narrow, wide, 1)
            for narrow, wide in zip(student.variant.channels, teacher.variant.channels, strict=True)
        )
        self._set_heads()

    @torch.no_grad()
    def _set_heads(self) -> None:
        maps = self.student(self.hu[:48].float())
        for head, ours, theirs in zip(self.heads, maps, self.targets, strict=True):
            flat = ours.permute(0, 2, 3, 1).flatten(0, 2)
            wanted = theirs[:48].float().permute(0, 2, 3, 1).flatten(0, 2)
            keep = torch.linspace(0, len(flat) - 1, min(len(flat), 20_000)).long()
            weights, bias = regress(flat[keep], wanted[keep])
            head.weight.copy_(weights[:, :, None, None])
            head.bias.copy_(bias)

    def losses(self, rows: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Return the map loss and the relation loss on some crops, boxes drawn anew."""
        maps = self.student(self.hu[rows].float())
        theirs = [target[rows].float() for target in self.targets]
        by_map = torch.stack(
            [
                map_loss(head(ours), wanted, variance)
                for head, ours, wanted, variance in zip(self.heads, maps, theirs, self.variances, strict=True)
            ]
        ).mean()
        owner = torch.arange(len(rows)).repeat_interleave(BOXES_PER_CROP)
        drawn = [draw_box(rng) for _ in owner]
        boxes = torch.tensor([[b.x0, b.y0, b.x1, b.y1] for b in drawn], dtype=torch.float32)
        # conv5_3 pools the whole crop: one box a crop is enough there, the others repeat it
        relations = [
            relation_loss(cosines(ours, owner), cosines(wanted, owner))
            for ours, wanted in zip(
                pool_boxes(maps, boxes, owner), pool_boxes(theirs, boxes, owner), strict=True
            )
        ]
        return by_map, torch.stack(relations).mean()


def tune(tuning: Tuning, steps: int, seconds: float, rng: np.random.Generator) -> int:
    """Tune all layers with Adam for some steps, or as many as the time allows; return the steps taken.

    The rate falls with what is left of the scarcer of the two.
    """
    parameters = [*tuning.student.parameters(), *tuning.heads.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE)
    start, step = time.monotonic(), 0
    while (gone := max(step / steps, (time.monotonic() - start) / seconds)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * gone))
        rows = torch.from_numpy(rng.choice(len(tuning.hu), BATCH, replace=False))
        by_map, by_relation = tuning.losses(rows, rng)
        optimiser.zero_grad()
        (by_map + by_relation).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        if step % 50 == 0:
            print(f"{gone:4.0%} step {step}: maps {by_map:.3f}, relations {by_relation:.3f}", flush=True)
        step += 1
    return step


# ---------------------------------------------------------------- agreement


def agreement(trunk: Trunk, crops: list[Crop], theirs: NDArray[np.float32]) -> float:
    """Spearman correlation of all pairwise cosines of initial features with the teacher's (N, D)."""
    ours = initial_features(crops, trunk)
    pairs = np.triu_indices(len(crops), 1)
    return float(spearmanr((ours @ ours.T)[pairs], (theirs @ theirs.T)[pairs]).statistic)


def distil(
    volumes: Mapping[str, Volume],
    teacher: Trunk,
    out: Path,
    *,
    steps: int,
    minutes: float,
    seed: int,
    crops: int,
) -> dict[str, object]:
    """Run the three steps, write the weights with their agreement, and return what was measured."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    start = time.monotonic()
    held_out = {name: v for name, v in volumes.items() if name.split("#")[0] in HELD_OUT}
    learnt = {name: v for name, v in volumes.items() if name not in held_out}
    test = draw_crops(held_out, 200, rng)
    theirs = initial_features(test, teacher)
    measured: dict[str, object] = {
        "spearman, random narrow trunk": agreement(Trunk(NARROW).eval(), test, theirs)
    }
    student = Trunk(NARROW)
    with torch.no_grad():
        calibration = np.stack([crop.hu for crop in draw_crops(learnt, 32, rng)])
        set_in_closed_form(student, teacher, torch.from_numpy(calibration).float(), rng)
    measured["spearman, closed form"] = agreement(student, test, theirs)
    print(measured, f"{time.monotonic() - start:.0f} s", flush=True)
    tuning = Tuning(student, teacher, draw_crops(learnt, crops, rng))
    print(f"teacher maps of {crops} crops: {time.monotonic() - start:.0f} s", flush=True)
    taken = tune(tuning, steps, minutes * 60 - (time.monotonic() - start), rng)
    measured["steps"] = taken
    metadata = {
        "what": "narrow trunk distilled from VGG-16 (ImageNet) on CT",
        "widths": json.dumps(NARROW.widths),
        "teacher_sha256": teacher.sha256,
        "trained_on": ", ".join(learnt),
        "held_out": ", ".join(held_out),
        "crops": str(crops),
        "steps": str(taken),
        "seed": str(seed),
        "script": "tools/distil_trunk.py",
        "licence": "Apache-2.0; teacher weights CC BY 4.0 (Oxford VGG); data: see MODEL_CARD.md",
    }
    halves = {name: value.detach().half() for name, value in student.state_dict().items()}
    write_safetensors(out, halves, metadata)
    measured["spearman, shipped (float16 file)"] = agreement(load_narrow(out), test, theirs)
    measured["seconds"] = round(time.monotonic() - start)
    return measured


def main() -> None:
    """Parse the command line and distil."""
    packaged = Path(__file__).parents[1] / "src/lesiongraph/embedding/weights/narrow_trunk.safetensors"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("LESIONGRAPH_REAL_DATA"), required=False)
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights (default: LESIONGRAPH_VGG16_WEIGHTS)")
    parser.add_argument("--out", type=Path, default=packaged)
    parser.add_argument("--steps", type=int, default=800, help="tuning steps of 8 crops")
    parser.add_argument("--minutes", type=float, default=30.0, help="stop tuning early after this time")
    parser.add_argument("--crops", type=int, default=300, help="training crops; 2 MB of memory each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.data is None:
        parser.error("give --data, the folder that holds dicom/ and sts/, or set LESIONGRAPH_REAL_DATA")
    torch.set_num_threads(chosen.threads)
    measured = distil(
        read_volumes(chosen.data),
        load_vgg16(chosen.vgg16),
        chosen.out,
        steps=chosen.steps,
        minutes=chosen.minutes,
        seed=chosen.seed,
        crops=chosen.crops,
    )
    for name, value in measured.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
