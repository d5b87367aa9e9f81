"""Takes calls, gives what they cost: wall time, and the machine's multiply-add rate to hold it against."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

__all__ = ["best_seconds", "matmul_rate"]


def best_seconds(call: Callable[[], object], repeats: int = 3) -> float:
    """Best wall time of some calls, after one that warms up."""
    call()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def matmul_rate(side: int = 2048, repeats: int = 3, device: torch.device | None = None) -> float:
    """Multiply-adds a second of a square float32 matrix product; each is two floating point operations.

    On a GPU the side is four times as long, so that the launch does not count.
    """
    side *= 4 if device is not None and device.type == "cuda" else 1
    a = torch.randn(side, side, device=device)

    def product() -> None:
        _ = a @ a
        if a.is_cuda:
            torch.cuda.synchronize(a.device)

    return side**3 / best_seconds(product, repeats)
