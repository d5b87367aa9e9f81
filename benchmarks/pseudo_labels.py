"""Which labeller spreads types from seeds best, on what feature, and what abstaining buys (ADR 8).

    python benchmarks/pseudo_labels.py [--data ../shared/data] [--workspace W [--truth truth.csv]] [--full]

Data: `deeplesion_metadata_val` (2,617 typed real marks; location and size only) with seeds of 5 % (and, with
--full, 50 %) of the patients; the 27 real marks of `deeplesion_mini` and those with images beside them, each
patient left out once, with VGG-16 too where LESIONGRAPH_VGG16_WEIGHTS names its file; a workspace, where
given, and with --truth the labels before and after its refinement. Seeds and pool never share a patient.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from labelling import (
    deeplesion_marks,
    metadata,
    print_abstention,
    print_refinement,
    print_trial,
    workspace_marks,
)
from lesiongraph.embedding import WEIGHTS_ENV, load_narrow, load_vgg16
from provenance import add_data_argument, print_header

ABSTAINING = ["RBF-SVM (paper, default)", "RBF-SVM, sure where neighbours agree", "10 nearest seeds"]


def measure_metadata(release: Path, shares: list[float], deals: int) -> None:
    data = metadata(release)
    for share in shares:
        print_trial(data, share, deals)
    for wanted in (0.8, 0.9):
        print_abstention(data, shares[-1], deals, wanted, ABSTAINING)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--workspace", type=Path, help="a workspace after `train` and `embed`")
    parser.add_argument("--truth", type=Path, help="the phantom's truth.csv: types of every mark")
    parser.add_argument("--full", action="store_true", help="half the patients as seeds too (minutes)")
    parser.add_argument("--deals", type=int, default=5, help="random deals into seeds and pool")
    options = parser.parse_args()
    print_header()
    release, mini = options.data / "deeplesion_metadata_val", options.data / "deeplesion_mini"
    if not (release / "DL_info.csv").exists() and not (mini / "DL_info.csv").exists():
        print(f"real marks skipped: none in {options.data.name}/; give --data DIR")
    if (mini / "DL_info.csv").exists():
        more = options.data / "deeplesion"
        sources = [mini] + [more] * (more / "DL_info.csv").exists()
        for load in [load_narrow] + [load_vgg16] * (WEIGHTS_ENV in os.environ):
            print_trial(deeplesion_marks(sources, load()), None, 0)
    if (release / "DL_info.csv").exists():
        measure_metadata(release, [0.05, 0.5] if options.full else [0.05], options.deals)

    if options.workspace:
        data = workspace_marks(options.workspace, options.truth)
        print_trial(data, 0.25, options.deals)
        print_abstention(data, 0.25, options.deals, 0.8, ABSTAINING[:1])
        if options.truth:
            print_refinement(options.workspace, options.truth)


if __name__ == "__main__":
    main()
