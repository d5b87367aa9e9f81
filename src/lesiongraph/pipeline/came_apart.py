"""Whether a report and its image came apart: mined from two sources, each a mark's half."""

from __future__ import annotations

import pandas as pd

from lesiongraph.mining import IMAGE_NOT_FOUND, MiningResult
from lesiongraph.store import CatalogueView


def came_apart(found: MiningResult, stored: CatalogueView) -> bool:
    """Whether marks of one of the two wait for an image, or at least a study, that the other holds.

    A mark whose image is nowhere must not have a whole archive read again with every new source.
    """
    theirs, ours = stored.table("lesions", reason=[IMAGE_NOT_FOUND]), _waiting(found.lesions)
    if _named(theirs).isin(found.slices.sop_instance_uid).any():
        return True
    if _unnamed(theirs).isin(_with_images(found.series)).any():
        return True
    return bool(
        len(stored.table("slices", sop_instance_uid=sorted(set(_named(ours)))))
        or len(_with_images(stored.table("series", study_instance_uid=sorted(set(_unnamed(ours))))))
    )


def _waiting(lesions: pd.DataFrame) -> pd.DataFrame:
    return lesions[lesions.reason == IMAGE_NOT_FOUND]


def _named(waiting: pd.DataFrame) -> pd.Series[str]:
    """Return the images that marks wait for."""
    return waiting.sop_instance_uid[waiting.sop_instance_uid != ""]


def _unnamed(waiting: pd.DataFrame) -> pd.Series[str]:
    """Return the studies of marks whose reader could not name the image it missed."""
    return waiting.study_instance_uid[waiting.sop_instance_uid == ""]


def _with_images(series: pd.DataFrame) -> pd.Series[str]:
    """Return the studies of series that have images here."""
    return series.study_instance_uid[series.slices > 0]
