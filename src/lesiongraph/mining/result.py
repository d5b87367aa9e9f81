"""What mining gives: the catalogue's tables and the counts of its run report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from lesiongraph.lesion import LANDMARKS, LESIONS, SERIES, SLICES, conform


def _empty(schema: dict[str, str]) -> pd.DataFrame:
    return conform(pd.DataFrame(), schema)


@dataclass
class MiningResult:
    """The four tables, conformed to `lesion.schema`, and what was counted on the way."""

    lesions: pd.DataFrame = field(default_factory=lambda: _empty(LESIONS))
    series: pd.DataFrame = field(default_factory=lambda: _empty(SERIES))
    slices: pd.DataFrame = field(default_factory=lambda: _empty(SLICES))
    landmarks: pd.DataFrame = field(default_factory=lambda: _empty(LANDMARKS))
    counts: Counter[str] = field(default_factory=Counter)


def merge_results(results: Sequence[MiningResult]) -> MiningResult:
    """Return all results as one, each lesion, series and slice once, in a fixed order.

    The same object met in two sources gives the same lesion id, so the first is kept and the others are
    counted as `the same mark again`; a series met twice keeps its fullest version.
    """
    raise NotImplementedError
