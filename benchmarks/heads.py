"""Heads and whole rankings at the paper's size, made-up features: `python benchmarks/heads.py`.

Floor of the ranking: one matrix product of the features with themselves.
"""

from __future__ import annotations

import time

import numpy as np

from lesiongraph.evaluation import fit_head, ranking_scores, type_scores
from lesiongraph.lesion import LESION_TYPES
from provenance import print_header

SEEDS, LESIONS, WIDTH = 1273, 4927, 1024


def main() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 8, SEEDS + LESIONS)
    features = rng.normal(size=(len(kinds), WIDTH)) + 2 * np.eye(8, WIDTH)[kinds]
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    types, patients = np.array(LESION_TYPES)[kinds], rng.integers(0, 300, len(kinds))
    print_header(numpy=np.__version__)
    for head in ("softmax", "linear-svm", "rbf-svm"):
        start = time.perf_counter()
        fitted = fit_head(features[:SEEDS], types[:SEEDS], patients[:SEEDS], head=head)
        learned = time.perf_counter()
        scores = type_scores(fitted.probabilities(features[SEEDS:]), fitted.types.tolist(), types[SEEDS:])
        scored = time.perf_counter()
        print(f"{head}: fitted in {learned - start:.2f} s, scored in {scored - learned:.2f} s; {scores}")
    start = time.perf_counter()
    ranked = ranking_scores(features[SEEDS:], types[SEEDS:])
    took = time.perf_counter() - start
    start = time.perf_counter()
    _ = features[SEEDS:] @ features[SEEDS:].T
    floor = time.perf_counter() - start
    print(f"ranking: {took:.2f} s, product alone {floor:.2f} s; mAP@R {ranked.mean_at_r:.3f}")


if __name__ == "__main__":
    main()
