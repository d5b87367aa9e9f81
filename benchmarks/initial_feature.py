"""Which normalisation makes the better initial feature? Nearest neighbours on a small DeepLesion release.

    python benchmarks/initial_feature.py [--data ../shared/data]

Data: `deeplesion_mini` (27 lesions of 6 patients), then with the lesions of `deeplesion/DL_info.csv` whose
slices are at hand added. The packaged trunks always; VGG-16 where LESIONGRAPH_VGG16_WEIGHTS names its file.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lesiongraph.embedding import (
    MAP_NAMES,
    WEIGHTS_ENV,
    Trunk,
    load_compact,
    load_narrow,
    load_vgg16,
    pooled_maps,
)
from lesiongraph.imaging import Patch, cut_patch
from lesiongraph.lesion import KEPT, BoundingBox
from lesiongraph.mining import mine_sources, open_series
from lesiongraph.recipe import ImagingRecipe
from provenance import add_data_argument, print_header, skip_without

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lesions:
    """Lesions with an image: patches, types and patients, each (N,)."""

    patches: list[Patch]
    types: NDArray[np.str_]
    patients: NDArray[np.str_]


def read_lesions(sources: list[Path]) -> Lesions:
    """Mine the releases and cut a patch of every kept lesion; say what was left out."""
    mined = mine_sources(sources)
    with_image = mined.lesions[(mined.lesions.status == KEPT) & (mined.lesions.slice_index >= 0)]
    typed = with_image[with_image.type != ""]
    print(
        f"data {' + '.join(source.name for source in sources)}: {len(mined.lesions)} marks, "
        f"{len(mined.lesions) - len(with_image)} without image or rejected, "
        f"{len(with_image) - len(typed)} without type, {len(typed)} entered, "
        f"{typed.patient_id.nunique()} patients; types {dict(Counter(typed.type))}"
    )
    patches = list(cut_patches(typed, mined.series, mined.slices))
    return Lesions(patches, typed.type.to_numpy(str), typed.patient_id.to_numpy(str))


def cut_patches(lesions: pd.DataFrame, series: pd.DataFrame, slices: pd.DataFrame) -> Iterator[Patch]:
    for row in lesions.itertuples():
        one = series[series.series_instance_uid == row.series_instance_uid].iloc[0].to_dict()
        its = slices[slices.series_instance_uid == row.series_instance_uid].sort_values("slice_index")
        box = BoundingBox(row.x0, row.y0, row.x1, row.y1)
        yield cut_patch(open_series(one, its), one, its, row.slice_index, box, ImagingRecipe())


def unit(vectors: Floats) -> Floats:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def nearest_scores(feature: Floats, lesions: Lesions) -> tuple[float, float, float]:
    """Same type at rank 1; the same among other patients; whether the nearest is of the same patient."""
    distances = np.linalg.norm(feature[:, None] - feature[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    same_patient = lesions.patients[:, None] == lesions.patients[None]
    nearest = distances.argmin(axis=1)
    elsewhere = np.where(same_patient, np.inf, distances).argmin(axis=1)
    return (
        float((lesions.types[nearest] == lesions.types).mean()),
        float((lesions.types[elsewhere] == lesions.types).mean()),
        float((lesions.patients[nearest] == lesions.patients).mean()),
    )


def print_table(trunks: list[Trunk], lesions: Lesions) -> None:
    columns = []
    for trunk in trunks:
        scales = [one.max(axis=(2, 3)).astype(np.float64) for one in pooled_maps(lesions.patches, trunk)]
        lengths = [np.linalg.norm(scale, axis=1).mean() for scale in scales]
        named = ", ".join(f"{name} {length:.0f}" for name, length in zip(MAP_NAMES, lengths, strict=True))
        print(f"mean length of the 1 × 1 vectors, {trunk.variant.name}: {named}")
        plain = np.concatenate(scales, axis=1)
        scaled = unit(np.concatenate([unit(scale) for scale in scales], axis=1))
        columns.append([nearest_scores(one, lesions) for one in (plain, unit(plain), scaled)])
    names = ("concatenated as they are", "then one L2", "L2 for each scale, then one L2")
    print(f"{' / '.join(trunk.variant.name for trunk in trunks)}:")
    print("| feature | same type @1 | same type @1, other patients only | nearest is of the same patient |")
    print("|---|---|---|---|")
    for name, *rows in zip(names, *columns, strict=True):
        cells = [" / ".join(f"{value:.2f}" for value in values) for values in zip(*rows, strict=True)]
        print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_argument(parser)
    data = parser.parse_args().data
    torch.set_num_threads(1)
    print_header(torch=torch.__version__)
    mini, more = data / "deeplesion_mini", data / "deeplesion"
    skip_without(mini / "DL_info.csv")
    trunks = [load_compact(), load_narrow()]
    if os.environ.get(WEIGHTS_ENV):
        trunks.insert(0, load_vgg16())
    else:
        print(f"VGG-16 left out: {WEIGHTS_ENV} is not set")
    print_table(trunks, read_lesions([mini]))
    if (more / "DL_info.csv").exists():
        print_table(trunks, read_lesions([mini, more]))


if __name__ == "__main__":
    main()
