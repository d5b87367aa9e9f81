"""Distil VGG-16's four scales into the compact trunk that ships with the package.

    python tools/distil_trunk.py --data DATA --vgg16 VGG16_FILE [--out FILE] [--steps 1200] [--seed 0]

Three steps: (1) crops of real CT whose licence lets weights be shipped (`distilling.volumes.SHIP`) and of
phantom bodies; (2) each narrow convolution is set in closed form: the teacher's channels that best explain
all of its channels are chosen, and their responses regressed from the student's own input; (3) all layers
are tuned so that linear heads give the teacher's maps and pooled features, and so that boxes that look
alike to the teacher look alike to the student. Two volumes (`HELD_OUT`) are kept for the agreement that
is printed and stored. The same arguments on the same machine with one thread give the same file; what
changes between machines is bfloat16, used where the processor knows it.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distilling.agreement import agreement, unit_scales
from distilling.closed_form import set_in_closed_form
from distilling.crops import Crop, draw_crops
from distilling.teacher import teach
from distilling.tuning import BATCH, Tuning, tune
from distilling.volumes import HELD_OUT, Volume, phantom_volumes, ship_volumes
from lesiongraph.embedding import Trunk, load_narrow, load_trunk, load_vgg16
from lesiongraph.embedding.trunk import TRUNK_VARIANTS
from lesiongraph.embedding.weights import write_safetensors

CALIBRATION_CROPS = 64  # the closed form sees these
TEST_CROPS = 200


@dataclass(frozen=True)
class Budget:
    """How much is learnt from; the seed decides all that is drawn."""

    crops: int
    phantoms: int
    phantom_share: float
    steps: int
    seed: int


class Clock:
    """Prints lines with the seconds since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line."""
        print(f"{time.monotonic() - self._start:5.0f} s  {text}", flush=True)

    def every(self, unit: str, steps: int, done: int, total: int = 0, text: str = "") -> None:
        """Print a line at each multiple of `steps`."""
        if done % steps == 0 or done == total:
            self.say(f"{unit} {done} {text}")


def draw_training_crops(volumes: list[Volume], budget: Budget, rng: np.random.Generator) -> list[Crop]:
    """Draw crops of the real volumes, and of phantoms in their share."""
    made_up = round(budget.crops * budget.phantom_share) if budget.phantoms else 0
    crops = draw_crops(volumes, budget.crops - made_up, rng)
    if made_up:
        crops += draw_crops(phantom_volumes(budget.phantoms, budget.seed), made_up, rng)
    return crops


def distil(
    volumes: list[Volume], teacher: Trunk, student: Trunk, budget: Budget, cache: Path, clock: Clock
) -> Trunk:
    """Run the three steps and return the tuned student; the teacher's maps are kept in `cache`."""
    rng = np.random.default_rng(budget.seed)
    crops = draw_training_crops(volumes, budget, rng)
    clock.say(f"{len(crops)} crops")
    side = 144
    calibration = [crops[i].hu for i in rng.permutation(len(crops)) if crops[i].hu.shape[1] == side]
    with torch.no_grad():
        hu = torch.from_numpy(np.stack(calibration[:CALIBRATION_CROPS])).float()
        set_in_closed_form(student, teacher, hu, rng)
    clock.say("closed form")
    groups = teach(teacher, crops, cache, lambda done, total: clock.every("teacher's maps", 400, done, total))
    return tune(
        Tuning(student, groups),
        budget.steps,
        rng,
        lambda step, losses: clock.every(
            "step", 50, step, text=", ".join(f"{name} {value:.3f}" for name, value in losses.items())
        ),
    )


def main() -> None:
    """Parse the command line and distil."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("LESIONGRAPH_REAL_DATA"), required=False)
    parser.add_argument("--vgg16", type=Path, help="VGG-16 weights (default: LESIONGRAPH_VGG16_WEIGHTS)")
    parser.add_argument("--variant", choices=["compact", "narrow"], default="compact")
    parser.add_argument("--out", type=Path, help="default: the packaged file of the variant")
    parser.add_argument("--steps", type=int, default=1200, help=f"tuning steps of {BATCH} crops")
    parser.add_argument("--crops", type=int, default=1800, help="training crops; 2 MB of disk each")
    parser.add_argument("--phantoms", type=int, default=40, help="phantom bodies")
    parser.add_argument("--phantom-share", type=float, default=0.35, help="share of the crops")
    parser.add_argument("--cache", type=Path, help="keep the teacher's maps here for another run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    if chosen.data is None:
        parser.error("give --data, the folder that holds dicom/ and sts/, or set LESIONGRAPH_REAL_DATA")
    torch.set_num_threads(chosen.threads)
    budget = Budget(chosen.crops, chosen.phantoms, chosen.phantom_share, chosen.steps, chosen.seed)
    clock = Clock()
    teacher = load_vgg16(chosen.vgg16)
    volumes = ship_volumes(chosen.data)
    learnt = [volume for volume in volumes if volume.name not in HELD_OUT]
    test = draw_crops([v for v in volumes if v.name in HELD_OUT], TEST_CROPS, np.random.default_rng(2026))
    torch.manual_seed(chosen.seed)
    student = Trunk(TRUNK_VARIANTS[chosen.variant])
    theirs = unit_scales(teacher, test)
    measured = {"untrained": agreement(unit_scales(student.eval(), test), theirs)}
    measured["narrow, as packaged"] = agreement(unit_scales(load_narrow(), test), theirs)
    clock.say(f"test crops; {json.dumps(measured)}")
    with tempfile.TemporaryDirectory() as folder:
        cache = chosen.cache or Path(folder)
        cache.mkdir(parents=True, exist_ok=True)
        tuned = distil(learnt, teacher, student, budget, cache, clock)
    packaged = Path(__file__).parents[1] / "src/lesiongraph/embedding/weights"
    out = chosen.out or packaged / f"{chosen.variant}_trunk.safetensors"
    halves = {name: value.detach().half() for name, value in tuned.state_dict().items()}
    names = [", ".join(v.name for v in part) for part in (learnt, [v for v in volumes if v not in learnt])]
    measured["tuned"] = agreement(unit_scales(tuned, test), theirs)
    stated = {
        "what": f"{chosen.variant} trunk distilled from VGG-16 (ImageNet) on CT",
        "widths": list(tuned.variant.widths),
        "teacher_sha256": teacher.sha256,
        "trained_on": names[0],
        "held_out": names[1],
        "budget": vars(budget),
        "spearman": measured,
        "script": "tools/distil_trunk.py",
        "licence": "Apache-2.0; teacher weights CC BY 4.0 (Oxford VGG); data: see MODEL_CARD.md",
    }
    write_safetensors(out, halves, {"lesiongraph": json.dumps(stated, sort_keys=True)})
    measured["file (float16)"] = agreement(unit_scales(load_trunk(chosen.variant, out), test), theirs)
    for name, values in measured.items():
        clock.say(f"{name}: " + ", ".join(f"{scale} {value:.3f}" for scale, value in values.items()))


if __name__ == "__main__":
    main()
