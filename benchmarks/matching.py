"""Time sequence sampling and Algorithm 1 at DeepLesion's size: `python benchmarks/matching.py`.

Floor of matching: the distances alone, scipy's `pdist` on the lesions of each patient, already sorted.
The matchers by cost stand beside Algorithm 1, their peer, on the same vectors.
Synthetic cues: eight types as blobs in the body, sizes log-normal with a median of 15.6 mm.
"""

from __future__ import annotations

import argparse
import time
import tracemalloc

import numpy as np
from scipy.spatial.distance import pdist

from lesiongraph.cues import SequenceSampler, location_vectors, size_vectors
from lesiongraph.evaluation import precision_recall_curve
from lesiongraph.graph import (
    CostWeights,
    ExclusiveLinkage,
    LesionCues,
    MutualNearest,
    OptimalAssignment,
    match_by_cost,
    match_patients,
)
from provenance import print_header

TYPE_SHARES = (0.04, 0.22, 0.17, 0.13, 0.25, 0.05, 0.07, 0.07)


def time_sampling(lesions: int, rng: np.random.Generator) -> None:
    types = rng.choice(8, lesions, p=TYPE_SHARES)
    locations = (rng.random((8, 3)) * 0.6 + 0.2)[types] + rng.normal(0, 0.08, (lesions, 3))
    sizes = np.sort(np.exp(rng.normal(np.log(15.6), 0.6, (lesions, 2))), axis=1)[:, ::-1]
    tracemalloc.start()
    start = time.perf_counter()
    sampler = SequenceSampler(types, location_vectors(locations), size_vectors(sizes), 0.02, 0.1)
    built = time.perf_counter()
    peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    drawing = time.perf_counter()
    sampler.sample(2400, rng)
    drawn = time.perf_counter()
    print(
        f"{lesions:7d} lesions: sampler built in {built - start:6.2f} s (peak {peak_mib:.0f} MiB), "
        f"100 batches of 24 in {drawn - drawing:5.2f} s; {sampler.counts}"
    )


def time_matching(lesions: int, width: int, rng: np.random.Generator) -> None:
    patients = np.sort(rng.integers(0, max(1, lesions // 7), lesions))
    instances = patients * 10 + rng.integers(0, 3, lesions)
    studies = rng.integers(0, 4, lesions)
    centres = rng.normal(size=(instances.max() + 1, width)).astype(np.float32)
    vectors = centres[instances] + 0.1 * rng.normal(size=(lesions, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    began = time.perf_counter()
    result = match_patients(vectors, patients, studies, 0.1, 0.3)
    matched = time.perf_counter()
    for of_patient in np.split(vectors, np.unique(patients, return_index=True)[1][1:]):
        pdist(of_patient)
    floor_s = time.perf_counter() - matched
    print(
        f"{lesions:7d} lesions of {len(np.unique(patients))} patients, width {width}: matched in "
        f"{matched - began:6.2f} s (distances alone {floor_s:.2f} s), "
        f"{len(np.unique(result.groups))} groups, {len(result.edges)} edges"
    )
    cues = LesionCues(vectors)
    for matcher in (MutualNearest(), OptimalAssignment(), ExclusiveLinkage()):
        start = time.perf_counter()
        match_by_cost(cues, patients, studies, matcher, 6.0, merge_limit=2.0, weights=CostWeights())
        taken_s = time.perf_counter() - start
        print(f"   {matcher}: {taken_s:6.2f} s, {taken_s / (matched - began):.2f} of Algorithm 1's time")
    rows = slice(0, 1313)
    start = time.perf_counter()
    curve = precision_recall_curve(vectors[rows], patients[rows], studies[rows], instances[rows])
    print(
        f"   1313 lesions: whole precision-recall curve ({len(curve.t2)} thresholds) in "
        f"{time.perf_counter() - start:6.2f} s, area {curve.area:.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lesions", type=int, nargs="+", default=[2_000, 8_000, 32_735])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print_header(numpy=np.__version__)
    for lesions in options.lesions:
        time_sampling(lesions, np.random.default_rng(options.seed))
    for lesions in options.lesions:
        time_matching(lesions, options.width, np.random.default_rng(options.seed))


if __name__ == "__main__":
    main()
