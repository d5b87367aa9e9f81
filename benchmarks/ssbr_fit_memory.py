"""How much memory `locate --fit` needs for an archive's worth of slices, kept in a file and mapped.

    python benchmarks/ssbr_fit_memory.py [--volumes 800] [--slices 250]   # 11 GB of disk, a few minutes

The slices are noise: memory does not depend on what they show. Anonymous memory is what the process needs;
mapped pages of the file are given back whenever the system wants them.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from lesiongraph.bodypart import COMPACT_DESIGN, SsbrModel, TrainingVolume, VolumeStore, align_z, train_ssbr
from lesiongraph.recipe import SsbrRecipe
from provenance import print_header

_FRAME_PX, _INPUT_PX = 192, 128


class Watch(threading.Thread):
    """Looks at the process's memory twice a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = {"RssAnon": 0.0, "RssFile": 0.0}  # GiB

    def run(self) -> None:
        """Keep the largest of each kind."""
        while True:
            for line in Path("/proc/self/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name in self.most:
                    self.most[name] = max(self.most[name], int(value.split()[0]) / 2**20)
            time.sleep(0.5)


def volume(number: int, slices: int) -> TrainingVolume:
    """Noise in the shape of a volume."""
    rng = np.random.default_rng(number)
    return TrainingVolume(
        slices=rng.integers(0, 255, (slices, _INPUT_PX, _INPUT_PX), dtype=np.uint8),
        interval_mm=2.5,
        name=f"noise {number}",
        frames=rng.integers(0, 255, (slices, _FRAME_PX, _FRAME_PX), dtype=np.uint8),
        boxes=np.tile(np.float32([20, 10, 170, 180]), (slices, 1)),
    )


def main() -> None:
    """Store, train a few steps, align; print the peaks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--volumes", type=int, default=800)
    parser.add_argument("--slices", type=int, default=250)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the file lies; the system's temporary folder")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__, threads=1)
    watch = Watch()
    watch.start()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        path = Path(folder) / "volumes.u8"
        store = VolumeStore(path)
        for number in range(chosen.volumes):
            store.add(volume(number, chosen.slices))
        volumes = store.volumes()
        print(
            f"{len(volumes)} volumes of {chosen.slices} slices: {path.stat().st_size / 2**30:.2f} GiB of disk"
        )
        # one slice in eight is aligned on: scoring all of them takes an hour and no more memory
        model = train_ssbr(volumes, SsbrRecipe(), 0, steps=chosen.steps, design=COMPACT_DESIGN)
        align_z(model, SsbrModel.load(), [replace(v, slices=v.slices[:8]) for v in volumes[::8]])
    anon, mapped = watch.most["RssAnon"], watch.most["RssFile"]
    print(f"peak: {anon:.2f} GiB anonymous, {mapped:.2f} GiB mapped and reclaimable")


if __name__ == "__main__":
    main()
