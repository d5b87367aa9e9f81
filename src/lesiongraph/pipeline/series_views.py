"""Series → what `locate` needs of them, read by a few processes side by side, one series at a time.

Reading and decoding is most of the work, so it is what the processes share; scoring stays in the parent.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain, islice, starmap
from typing import TypeVar

import numpy as np
import pandas as pd

from lesiongraph.bodypart import (
    CrossSection,
    SliceMode,
    TrainingVolume,
    cross_section,
    slice_input,
    training_volumes,
)
from lesiongraph.errors import LesionGraphError
from lesiongraph.imaging import body_mask, canonical_view, place_flag, relative_xy, whole_body_box
from lesiongraph.lesion import BoundingBox
from lesiongraph.mining import SliceReader, open_series
from lesiongraph.pipeline.catalogue import Catalogue
from lesiongraph.pipeline.pixel_size import plane_spacing, stated_spacing
from lesiongraph.processes import worker_pool
from lesiongraph.workspace import SortedTable

_SLICES_AT_ONCE = 8
Viewed = TypeVar("Viewed")


@dataclass(frozen=True)
class SeriesJob:
    """One series to view, and the marks on it."""

    series: dict[str, object]
    marks: pd.DataFrame  # kept LESIONS rows on this series
    mode: SliceMode
    least_step_mm: float = 0.0  # slices nearer than this to one read before are left out; 0 reads all


@dataclass
class SeriesView:
    """The slices of one series as SSBR sees them, and x, y of its marks."""

    series_instance_uid: str
    slice_indices: np.ndarray  # (n,) rows of SLICES that could be read
    positions_mm: np.ndarray  # (n,)
    inputs: np.ndarray  # (n, 128, 128) uint8
    xy: dict[str, tuple[float, float, str]] = field(default_factory=dict)  # lesion_id -> x, y, flag
    sections: list[CrossSection] = field(default_factory=list)  # (n,)
    unreadable: int = 0
    not_fetched: int = 0  # left in the PACS on purpose


def series_jobs(
    catalogue: Catalogue,
    marks: pd.DataFrame,
    mode: SliceMode,
    *,
    wanted: Collection[str] | None = None,
    least_step_mm: float = 0.0,
) -> list[SeriesJob]:
    """Return one job for each wanted series that has slices (all series where none are named)."""
    with_slices = catalogue.slices.values()
    marks_of = dict(tuple(marks.groupby("series_instance_uid")))
    return [
        SeriesJob(
            series=dict(row),
            marks=marks_of.get(uid, marks.iloc[:0]),
            mode=mode,
            least_step_mm=least_step_mm,
        )
        for row in catalogue.series.to_dict("records")
        if (uid := row["series_instance_uid"]) in with_slices and (wanted is None or uid in wanted)
    ]


def view_all(
    jobs: Sequence[SeriesJob],
    slices: SortedTable,
    workers: int,
    view: Callable[[SeriesJob, pd.DataFrame], Viewed],
) -> Iterator[Viewed]:
    """Yield `view(job, its slices)` in the order of `jobs`, a few ahead, so that memory stays flat."""
    stream = ((job, slices.of(str(job.series["series_instance_uid"]))) for job in jobs)
    if workers <= 1 or len(jobs) <= 2:
        yield from starmap(view, stream)
        return
    with worker_pool(min(workers, len(jobs))) as pool:
        ahead: list[Future[Viewed]] = [pool.submit(view, *given) for given in islice(stream, 2 * workers)]
        while ahead:
            viewed = ahead.pop(0).result()
            ahead += [pool.submit(view, *given) for given in islice(stream, 1)]
            yield viewed


def view_to_learn(job: SeriesJob, slices: pd.DataFrame) -> list[TrainingVolume]:
    """Read one series, given its SLICES rows head → foot, as volumes that SSBR can be trained on."""
    spacing = plane_spacing(job.series)
    flips = bool(job.series["flip_x"]), bool(job.series["flip_y"])
    indices: list[int] = []

    def views() -> Iterator[np.ndarray]:  # one slice at a time: a series of HU is large
        for index, hu in _readable(open_series(job.series, slices), _wanted_slices(job, slices)):
            indices.append(index)
            yield canonical_view(hu, *flips)

    stream = views()
    first = next(stream, None)
    if first is None:
        return []
    name = str(job.series["series_instance_uid"])
    series = TrainingVolume.read(chain([first], stream), spacing, name, mode=job.mode)
    positions = slices.set_index("slice_index").position_mm
    return training_volumes(series, positions.loc[indices].to_numpy(float))


def view_series(job: SeriesJob, slices: pd.DataFrame) -> SeriesView:
    """Read one series once: the SSBR inputs of the slices `_wanted_slices` names, x and y of its marks.

    `slices` are its SLICES rows, head → foot.
    """
    spacing = plane_spacing(job.series)
    flips = bool(job.series["flip_x"]), bool(job.series["flip_y"])
    marks_at = {int(index): rows for index, rows in job.marks.groupby("slice_index")}
    inputs, indices, sections = [], [], []
    stated_mm = stated_spacing(job.series)
    xy: dict[str, tuple[float, float, str]] = {}
    all_indices = _wanted_slices(job, slices)
    for index, hu in _readable(open_series(job.series, slices), all_indices):
        canonical = canonical_view(hu, *flips)
        inputs.append(slice_input(canonical, spacing, mode=job.mode))
        sections.append(cross_section(canonical, stated_mm))
        indices.append(index)
        if index in marks_at:
            xy.update(_place(canonical, job.series, marks_at[index], flips))
    positions = slices.set_index("slice_index").position_mm
    return SeriesView(
        series_instance_uid=str(job.series["series_instance_uid"]),
        slice_indices=np.array(indices, int),
        positions_mm=positions.loc[indices].to_numpy(float),
        inputs=np.stack(inputs) if inputs else np.zeros((0, 128, 128), np.uint8),
        xy=xy,
        sections=sections,
        unreadable=len(all_indices) - len(indices),
        not_fetched=int((~_fetched(job, slices)).sum()),
    )


def _wanted_slices(job: SeriesJob, slices: pd.DataFrame) -> list[int]:
    """Slice indices to read: all of them, or key slices and one slice every few millimetres.

    The line through the scores of a series does not get better by neighbours that show the same anatomy,
    and a thin-slice study has a thousand of them to decode. Slices that stayed in a PACS are passed over.
    """
    here = _fetched(job, slices)
    if not here.any():
        return []
    indices = slices.slice_index.to_numpy(int)[here]
    positions = slices.position_mm.to_numpy(float)[here]
    if job.least_step_mm <= 0 or not np.isfinite(positions).all():
        return [int(i) for i in indices]
    step = np.floor((positions - positions[0]) / job.least_step_mm)
    chosen = np.diff(step, prepend=-1.0) != 0
    chosen[-1] = True
    chosen |= np.isin(indices, job.marks.slice_index.to_numpy(int))
    return [int(i) for i in indices[chosen]]


def _fetched(job: SeriesJob, slices: pd.DataFrame) -> np.ndarray:
    """Which slices have their pixels here, (n,) bool: a PACS is asked for those that are needed alone."""
    if job.series["kind"] != "dicom":
        return np.ones(len(slices), bool)
    return np.asarray(slices.path != "", bool)


def _place(
    hu: np.ndarray, series: Mapping[str, object], marks: pd.DataFrame, flips: tuple[bool, bool]
) -> Iterable[tuple[str, tuple[float, float, str]]]:
    """Yield lesion_id, x, y and flag; x and y refer to the whole body, estimated where the view cuts it."""
    body = body_mask(hu, plane_spacing(series))
    whole = whole_body_box(hu, body, stated_spacing(series))
    for row in marks.itertuples():
        box = BoundingBox(row.x0, row.y0, row.x1, row.y1).flipped(hu.shape[1], hu.shape[0], *flips)
        x, y = relative_xy(whole, box.centre)
        yield row.lesion_id, (x, y, place_flag(body, whole, box.centre))


def _readable(reader: SliceReader, indices: Sequence[int]) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (index, HU) of the slices that can be read, a few at a time."""
    for start in range(0, len(indices), _SLICES_AT_ONCE):
        some = list(indices[start : start + _SLICES_AT_ONCE])
        try:
            yield from zip(some, reader.read(some), strict=True)
        except LesionGraphError:
            for index in some:
                try:
                    yield index, reader.read([index])[0]
                except LesionGraphError:
                    continue
