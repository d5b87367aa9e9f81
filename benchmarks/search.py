"""Time ExactIndex on an archive of DeepLesion's size against a plain loop: `python benchmarks/search.py`."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np

from lesiongraph.index import ExactIndex, other_patients
from provenance import print_header


def best_ms(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


def plain_loop(vectors: np.ndarray, query: np.ndarray, k: int) -> list[tuple[float, int]]:
    """One distance at a time, then sort."""
    return sorted((float(np.linalg.norm(vector - query)), i) for i, vector in enumerate(vectors))[:k]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lesions", type=int, default=32_735)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print_header(numpy=np.__version__)
    rng = np.random.default_rng(options.seed)
    vectors = rng.normal(size=(options.lesions, options.width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    patients = rng.integers(0, max(1, options.lesions // 7), options.lesions)
    batch = vectors[: options.batch]
    index = ExactIndex(vectors)
    others = other_patients(patients, patients[: options.batch])
    mask = rng.random(options.lesions) < 0.5
    rows = [
        ("one query", best_ms(lambda: index.search(batch[0], 9), 10)),
        ("one query, half allowed", best_ms(lambda: index.search(batch[0], 9, allowed=mask), 10)),
        (f"batch of {options.batch}", best_ms(lambda: index.search(batch, 9), 5)),
        (
            f"batch of {options.batch}, other patients",
            best_ms(lambda: index.search(batch, 9, allowed=others), 5),
        ),
        ("one query, plain loop", best_ms(lambda: plain_loop(vectors, batch[0], 9), 2)),
    ]
    wanted = [i for _, i in plain_loop(vectors, batch[0], 9)]
    assert index.search(batch[0], 9)[1][0].tolist() == wanted, "index and loop disagree"
    print(f"{options.lesions} x {options.width} float32, k = 9")
    for name, ms in rows:
        print(f"{name:36s} {ms:10.1f} ms")


if __name__ == "__main__":
    main()
