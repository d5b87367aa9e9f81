"""Sources → catalogue: marks are read, checked against their images, and added to what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.imaging import FLAG_CUT, body_mask, on_body
from lesiongraph.lesion import KEPT, REJECTED, BoundingBox
from lesiongraph.mining import (
    IMAGE_NOT_FOUND,
    MiningResult,
    mine_sources,
    open_series,
)
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.series_views import plane_spacing
from lesiongraph.pipeline.stored_catalogue import StoredCatalogue, stored_catalogue
from lesiongraph.workspace import RunReport, Workspace

OFF_BODY = "off the body"
PERHAPS_OFF_BODY = "perhaps off the body"
UNREADABLE = "unreadable image"


def mine(
    workspace: Workspace,
    sources: Sequence[Path],
    *,
    roi_pattern: str | None = None,
    store: str | None = None,
    progress: Progress = silent,
) -> RunReport:
    """Mine sources into the workspace's catalogue; a mark met before keeps its row and id.

    Parameters
    ----------
    workspace : Workspace
    sources : sequence of Path
    roi_pattern : str, optional
    store : str, optional
        URL of the catalogue's database; by default the workspace's own.
    progress : callable

    Raises
    ------
    SourceNotFoundError
        If a source does not exist or holds nothing that can be read; the catalogue stays as it was.
    StoreError, StoreMismatchError
        If the database cannot be used, or is not the workspace's.
    """
    report = RunReport("mine")
    with workspace.lock(), stored_catalogue(workspace, store) as catalogue:
        former, known = catalogue.former(), _known_sources(catalogue)
        found = mine_sources(sources, roi_pattern=roi_pattern, progress=progress)
        apart = [path for path in known if path not in {source.absolute() for source in sources}]
        if apart and _report_and_image_came_apart(found, former):
            found = mine_sources([*sources, *apart], roi_pattern=roi_pattern, progress=progress)
            report.notes.append(
                f"{len(apart)} sources mined before were read again: reports and their images had come apart"
            )
        _check_on_images(found, former, progress)
        all_sources = dict.fromkeys([*known, *(source.absolute() for source in sources)])
        taken = catalogue.add(found, [str(source) for source in all_sources])
        report.already_done = taken.already_done
        report.details["store"] = {
            "address": str(catalogue.store.address),
            "rows written": taken.rows_written,
        }
        _fill(report, found, taken.tables)
        workspace.write_run_report("mine", report.finish().as_dict())
    return report


def _known_sources(catalogue: StoredCatalogue) -> list[Path]:
    """The sources that the catalogue was mined from and that are still there."""
    return [path for path in map(Path, catalogue.sources()) if path.exists()]


def _report_and_image_came_apart(found: MiningResult, former: MiningResult) -> bool:
    """Whether marks of one of the two wait for an image, or at least a study, that the other holds.

    A mark whose image is nowhere must not have a whole archive read again with every new source.
    """
    return _brings_image(found, former) or _brings_image(former, found)


def _brings_image(images: MiningResult, marks: MiningResult) -> bool:
    waiting = marks.lesions[marks.lesions.reason == IMAGE_NOT_FOUND]
    unnamed = waiting[waiting.sop_instance_uid == ""]  # the reader could not name the image it missed
    named = waiting.sop_instance_uid[waiting.sop_instance_uid != ""]
    with_images = images.series[images.series.slices > 0]
    return bool(
        named.isin(images.slices.sop_instance_uid).any()
        or unnamed.study_instance_uid.isin(with_images.study_instance_uid).any()
    )


def _check_on_images(found: MiningResult, former: MiningResult, progress: Progress) -> None:
    """Judge, in place, marks on their key slices: reject what cannot be read or lies off the body."""
    checked = former.lesions[_was_judged(former.lesions)].set_index("lesion_id")
    lesions = found.lesions
    todo = lesions[(lesions.status == KEPT) & (lesions.slice_index >= 0)]
    series_rows = found.series.set_index("series_instance_uid", drop=False)
    slices_of = dict(tuple(found.slices.groupby("series_instance_uid")))
    done = 0
    for series_uid, marks in todo.groupby("series_instance_uid"):
        for index, verdict in _verdicts(marks, checked, series_rows.loc[series_uid], slices_of[series_uid]):
            if verdict.reason:
                lesions.loc[index, ["status", "reason"]] = [REJECTED, verdict.reason]
            if verdict.flag:
                flags = [
                    flag for flag in lesions.loc[index, "flags"].split(";") if flag not in ("", verdict.flag)
                ]
                lesions.loc[index, "flags"] = ";".join([*flags, verdict.flag])
        done += len(marks)
        progress("check marks on their images", done, len(todo))


@dataclass(frozen=True)
class _Verdict:
    reason: str = ""  # why the mark cannot stand
    flag: str = ""  # a remark on a mark that stands


def _verdicts(
    marks: pd.DataFrame, checked: pd.DataFrame, series: pd.Series, slices: pd.DataFrame
) -> Iterator[tuple[int, _Verdict]]:
    """Yield (row index, verdict) for the marks of one series."""
    reader = None
    for slice_index, on_slice in marks.groupby("slice_index"):
        if on_slice.lesion_id.isin(checked.index).all():
            # judged by an earlier run: reading the pixels again tells nothing
            for index, lesion_id in on_slice.lesion_id.items():
                yield index, _former_verdict(checked.loc[lesion_id])
            continue
        try:
            reader = reader or open_series(series.to_dict(), slices.sort_values("slice_index"))
            body = body_mask(reader.read([int(slice_index)])[0], plane_spacing(series.to_dict()))
        except LesionGraphError as error:
            for index in on_slice.index:
                yield index, _Verdict(reason=f"{UNREADABLE}: {_cause(error)}")
            continue
        for index, row in on_slice.iterrows():
            if not on_body(body.patient, BoundingBox(row.x0, row.y0, row.x1, row.y1)):
                # where the field of view cuts the body, what lies outside the mask may still be patient
                cut = body.flag == FLAG_CUT
                yield index, _Verdict(flag=PERHAPS_OFF_BODY) if cut else _Verdict(reason=OFF_BODY)


def _was_judged(lesions: pd.DataFrame) -> pd.Series[bool]:
    """Whether an earlier run saw the mark on its pixels: not where the image was absent or unreadable."""
    return (lesions.slice_index >= 0) & ((lesions.status == KEPT) | (lesions.reason == OFF_BODY))


def _former_verdict(row: pd.Series) -> _Verdict:
    reason = str(row.reason) if row.status == REJECTED else ""
    return _Verdict(reason, PERHAPS_OFF_BODY if PERHAPS_OFF_BODY in row["flags"].split(";") else "")


def _cause(error: LesionGraphError) -> str:
    return str(getattr(error, "cause", "") or getattr(error, "found", "") or type(error).__name__)


def _fill(report: RunReport, found: MiningResult, merged: MiningResult) -> None:
    # kept and rejected are counted again below: the images have had their say by then
    judged = ("kept", "rejected")
    report.counts.update({k: n for k, n in found.counts.items() if k.partition(":")[0] not in judged})
    kept = found.lesions[found.lesions.status == KEPT]
    report.counts["marks kept"] = len(kept)
    for source, number in kept.source.value_counts().items():
        report.counts[f"marks kept from {source}"] = int(number)
    report.counts["marks rejected"] = len(found.lesions) - len(kept)
    report.counts["catalogue rows"] = len(merged.lesions)
    reasons = found.lesions.loc[found.lesions.status == REJECTED, "reason"]
    report.rejected.update({str(reason): int(n) for reason, n in reasons.value_counts().items()})
