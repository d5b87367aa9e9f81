"""Which loss, inputs and labels give the best embedding on a frozen trunk (docs/experiments.md).

    python benchmarks/embedding_objectives.py -w W [--truth truth.csv] [--methods paper supcon] [--seeds 3]

The workspace must be mined and located. Every method learns from the same pool, with one refinement; those
that see the lesions alike share cached maps (`--cache`) and pseudo-labels. Patches are cut with nine slices.
Scored are the typed lesions of the test subset. With a truth that names
backgrounds (implanted lesions) "others" leaves out hits on the query's own, else those of its own patient.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from objectives import METHODS, Method, load_archive, print_trials, run_trials
from objectives.trial import less, score
from objectives.views import Sight
from provenance import print_header


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-w", "--workspace", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--trunk", default="narrow")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=Path(".scratch/objectives"))
    options = parser.parse_args()
    if options.workspace is None:
        print("skipped: needs a mined and located workspace; give -w WORKSPACE")
        return
    torch.set_num_threads(1)
    print_header(torch=torch.__version__, threads=1)
    archive = load_archive(options.workspace, options.truth, options.trunk, options.cache)
    counts = {subset: len(archive.rows(subset)) for subset in ("seed", "pool", "test")}
    sights = dict.fromkeys([Sight(), *(METHODS[name].sight for name in options.methods)])
    features = [(f"initial feature, {one.name}", archive.maps.initial(one)) for one in sights]
    rows = [
        (
            label,
            [score(archive, vectors, other_owners=False)],
            [score(archive, vectors, other_owners=True)],
        )
        for label, vectors in [*features, ("location", archive.places)]
    ]
    print_trials(f"{archive.name}, {options.trunk} trunk, {counts}", rows)
    for methods in _of_one_training(options.methods):
        trials = [run_trials(archive, methods, seed) for seed in range(options.seeds)]
        right = np.mean([one.labels_right for of_seed in trials for one in of_seed])
        seconds = np.mean([of_seed[0].seconds for of_seed in trials])
        by_method = [
            (found[0].method.label, [t.every_hit for t in found], [t.other_owners for t in found])
            for found in zip(*trials, strict=True)
        ]
        gains = [less(one, by_method[0]) for one in by_method[1:]]  # seed by seed: the head is the same
        print_trials(f"labels right {100 * right:.1f} %, {seconds:.0f} s a training", [*by_method, *gains])


def _of_one_training(names: Sequence[str]) -> list[list[Method]]:
    """Deal methods into those that one training serves."""
    dealt: dict[Method, list[Method]] = {}
    for name in names:
        dealt.setdefault(METHODS[name].training, []).append(METHODS[name])
    return list(dealt.values())


if __name__ == "__main__":
    main()
