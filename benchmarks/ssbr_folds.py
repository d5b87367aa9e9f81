"""Train the models that leave-patients-out is measured with, one fold at a time; `ssbr.py` reads them.

    python benchmarks/ssbr_folds.py                               # what the cache holds
    python benchmarks/ssbr_folds.py --fold 0                      # one fold of the packaged recipe
    python benchmarks/ssbr_folds.py --fold 0 1 2 3 4 --variant packaged real-only eq2
    python benchmarks/ssbr_folds.py --fold everyone --variant paper --steps 40 --volumes-per-batch 4

A fold of the packaged design takes about ten minutes on one core. What the cache holds is not trained again.
The paper's preset itself (VGG-16, 256 slices a batch, 2 x 1500 steps) takes days on a CPU: `--steps` and
`--volumes-per-batch` shorten it, and every table names the budget a model had.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import locating  # noqa: F401  (makes tools/ importable)
from locating.folds import EVERYONE, FOLDS, VARIANTS, Budget, fold_path, load_folds, train_fold
from provenance import REPOSITORY, add_data_argument, print_header, skip_without


def main() -> None:
    """Train one fold, or list what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    parser.add_argument("--variant", choices=list(VARIANTS), default=["packaged"], nargs="+")
    parser.add_argument("--fold", choices=[*map(str, range(FOLDS)), EVERYONE], nargs="+")
    parser.add_argument("--steps", type=int, help="of each training; the variant's if not given")
    parser.add_argument(
        "--phantoms", type=int, help="base ones instead of the variant's mix, where it has any"
    )
    parser.add_argument("--phantom-share", type=float, default=0.4, help="of the volumes drawn")
    parser.add_argument("--volumes-per-batch", type=int, help="fewer than the design's")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--cache", type=Path, default=REPOSITORY / ".scratch" / "ssbr-folds")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print_header(torch=torch.__version__, threads=1)
    if chosen.fold is None:
        for name in VARIANTS:
            for fold, trained in load_folds(chosen.cache, name).items():
                left_out = ", ".join(trained.left_out) or "nobody"
                print(f"{name}, fold {fold}: {trained.budget}; without {left_out}")
        print("give --fold 0 .. 4 or everyone to train one")
        return
    skip_without(chosen.data / "volumes", chosen.data / "dicom")
    budget = Budget(
        chosen.steps, chosen.phantoms, chosen.phantom_share, chosen.volumes_per_batch, chosen.device
    )
    for name in chosen.variant:
        for fold in chosen.fold:
            if fold_path(chosen.cache, name, fold).exists():
                print(f"{name}, fold {fold}: kept")
                continue
            print(f"{name}, fold {fold}, {budget}")
            print(train_fold(chosen.data, name, fold, budget, chosen.cache))


if __name__ == "__main__":
    main()
