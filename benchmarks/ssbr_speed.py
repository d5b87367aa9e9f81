"""Slices a second on one core: scoring, the network's floor, bpreg's network, reading and resampling.

    python benchmarks/ssbr_speed.py [--data ../shared/data]

Floor: the network's multiply-adds at the rate of a matrix product measured in the same process; a share above
1 is possible, because Winograd's way of a 3 x 3 convolution needs fewer than half of them. bpreg's
network (MIC-DKFZ/BodyPartRegression: VGG-16's convolutions with all five pools on 128 x 128, a 1 x 1 layer,
the average, one number) has random weights here: only its time is measured.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from pydicom import dcmread
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import locating  # noqa: F401  (makes `tools` importable)
from lesiongraph.bodypart import PAPER_DESIGN, SsbrModel, parameter_count, seeded_network, slice_input
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.phantom import sample_training_volume
from provenance import add_data_argument, print_header
from timing import best_seconds, matmul_rate

BPREG = "bpreg's network"
_BATCH = 64
_DICOM = ("LIDC-IDRI-0001", "CRLM-CT-1004")


def bpreg_network() -> nn.Module:
    """bpreg's architecture, random weights."""
    layers: list[nn.Module] = []
    width = 1
    for out, convs in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(convs):
            layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU(inplace=True)]
            width = out
        layers.append(nn.MaxPool2d(2))
    head = [nn.Conv2d(512, 512, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1)]
    return nn.Sequential(*layers, *head).eval()


def multiply_adds(network: nn.Module, size_px: int = 128) -> int:
    """Multiply-adds of all convolutions and matrix products on one slice."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(torch.zeros(1, 1, size_px, size_px))
    return counter.get_total_flops() // 2


def slices_per_second(networks: dict[str, tuple[nn.Module, int]], rounds: int = 5) -> dict[str, float]:
    """Best of some forward passes of each network's batch; in turns: a busy machine hits all alike."""
    fastest = dict.fromkeys(networks, 0.0)
    slices = torch.randint(0, 256, (max(batch for _, batch in networks.values()), 1, 128, 128)).float()
    with torch.inference_mode():
        for _ in range(rounds):
            for label, (network, batch) in networks.items():
                seconds = best_seconds(lambda: network(slices[:batch]), repeats=1)  # noqa: B023
                fastest[label] = max(fastest[label], batch / seconds)
    return fastest


def ct_slices(side: int = 512) -> np.ndarray:
    """Eight 512 x 512 slices of a phantom: a body, a table, noise."""
    drawn = sample_training_volume(np.random.default_rng(0), side, region="chest")
    return drawn.hu[:: max(1, len(drawn.hu) // 8)][:8]


def decode_seconds(folder: Path) -> tuple[float, str]:
    """Seconds a slice to read and decode a DICOM series, and what was read."""
    mined = mine_sources([folder])
    series = mined.series.to_dict("records")[0]
    slices = mined.slices.sort_values("slice_index")
    source = open_series(series, slices)
    indices = slices.slice_index.tolist()[:: max(1, len(slices) // 24)]
    taken = best_seconds(lambda: source.read(indices), repeats=2) / len(indices)
    headers = [dcmread(path, stop_before_pixels=True) for path in slices.path.iloc[indices]]
    syntaxes = Counter(str(header.file_meta.TransferSyntaxUID.name) for header in headers)
    told = ", ".join(f"{count} {name}" for name, count in syntaxes.items())
    return taken, f"{series['rows']} x {series['columns']}; {told}"


def uncompressed(folder: Path, target: Path, most: int = 24) -> Path:
    """Copy some slices of a series without compression: what reading costs beside the codec."""
    for path in sorted(path for path in folder.iterdir() if path.suffix == ".dcm")[:most]:
        header = dcmread(path)
        if header.file_meta.TransferSyntaxUID.is_compressed:
            header.decompress()
        header.save_as(target / path.name)
    return target


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--weights", type=Path, default=None)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__, threads=1)
    model = SsbrModel.load(chosen.weights)
    networks = {
        f"{model.name} ({model.sha256[:8]})": (model.network, _BATCH),
        "the same, slice by slice": (model.network, 1),
        "paper preset": (seeded_network(PAPER_DESIGN.network, 0).eval(), 8),
        BPREG: (bpreg_network(), 8),
    }
    rates = [matmul_rate(1536, 5)]
    speed = slices_per_second(networks)
    rates.append(matmul_rate(1536, 5))
    rate = max(rates)
    print(
        f"matrix product: {rate / 1e9:.1f} G multiply-adds/s (before the networks "
        f"{rates[0] / 1e9:.1f}, after {rates[1] / 1e9:.1f})"
    )
    print("network | weights | M multiply-adds | slices/s | floor slices/s | share of floor | times bpreg's")
    for label, (network, _) in networks.items():
        work = multiply_adds(network)
        floor = rate / work
        print(
            f"{label} | {parameter_count(network) / 1e6:.2f} M | {work / 1e6:.1f} | {speed[label]:.0f} | "
            f"{floor:.0f} | {speed[label] / floor:.2f} | {speed[label] / speed[BPREG]:.1f}"
        )
    scoring = 1 / next(iter(speed.values()))
    pictures = ct_slices()
    for mode in ("body", "frame"):
        cut = best_seconds(
            lambda mode=mode: [slice_input(hu, mode=mode) for hu in pictures], repeats=5
        ) / len(pictures)
        print(f"slice_input, 512 x 512, {mode}: {cut * 1e3:.2f} ms a slice; scoring {scoring * 1e3:.2f} ms")
    for name in _DICOM:
        folder = chosen.data / "dicom" / name
        if folder.exists():
            taken, told = decode_seconds(folder)
            print(f"reading and decoding {name}: {taken * 1e3:.2f} ms a slice ({told})")
            with TemporaryDirectory() as plain:
                taken, told = decode_seconds(uncompressed(folder, Path(plain)))
            print(f"  the same uncompressed: {taken * 1e3:.2f} ms a slice ({told})")


if __name__ == "__main__":
    main()
