"""Sources → catalogue: marks are read, checked against their images, and added to what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesiongraph.errors import LesionGraphError
from lesiongraph.imaging import FLAG_CUT, body_mask, on_body, suspect_text
from lesiongraph.lesion import KEPT, REJECTED, BoundingBox
from lesiongraph.mining import (
    BURNED_IN,
    IMAGE_NOT_FOUND,
    MiningResult,
    mine_sources,
    open_series,
    rules,
)
from lesiongraph.mining.pacs import PacsAddress, is_pacs_address
from lesiongraph.pipeline.identifiers import KEEP, Identifiers
from lesiongraph.pipeline.pacs_source import PacsOptions, pull_source, whole_mirror
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.series_views import plane_spacing
from lesiongraph.pipeline.stored_catalogue import StoredCatalogue, stored_catalogue
from lesiongraph.workspace import RunReport, Workspace

OFF_BODY = rules.OFF_BODY.reason
PERHAPS_OFF_BODY = rules.OFF_BODY.flag
UNREADABLE = "unreadable image"


def mine(
    workspace: Workspace,
    sources: Sequence[Path | str],
    *,
    roi_pattern: str | None = None,
    pacs: PacsOptions | None = None,
    identifiers: Identifiers = KEEP,
    store: str | None = None,
    progress: Progress = silent,
) -> RunReport:
    """Mine sources into the workspace's catalogue; a mark met before keeps its row and id.

    A source is a path, or the address of a PACS (`mining.pacs.PacsAddress`), which is read as `pacs` says. A
    PACS that stops answering leaves what it gave so far in the catalogue; `report.details["incomplete"]`
    says so. What passes `identifiers` is de-identified on the way in; `store` is the URL of the catalogue's
    database, by default the workspace's own.

    Raises
    ------
    SourceNotFoundError
        If a source does not exist or holds nothing that can be read; the catalogue stays as it was.
    PacsUnreachableError, PacsRefusedError
        If a PACS gives nothing, and gave nothing before.
    UsageError
        If the workspace holds identifiers and `identifiers` removes them, or the other way round.
    StoreError, StoreMismatchError
        If the database cannot be used, or is not the workspace's.
    """
    report = RunReport("mine")
    paths, addresses = _sorted_out(sources)
    with (
        workspace.lock(),
        stored_catalogue(workspace, store) as catalogue,
        identifiers.door(workspace, paths, report, for_pacs=bool(addresses)) as door,
    ):
        former, known = catalogue.former(), _known_sources(catalogue)
        paths = list(door.taken_in(paths, progress))
        mirrors = [
            pull_source(
                workspace,
                address,
                door.guarded(pacs or PacsOptions()),
                is_known=str(address) in known,
                roi_pattern=roi_pattern,
                report=report,
                progress=progress,
            )
            for address in addresses
        ]
        groups = [group for source in mirrors for group in source.groups()] if mirrors else None
        found = mine_sources(paths, mirrored=groups, roi_pattern=roi_pattern, progress=progress)
        given = [*(str(path.absolute()) for path in paths), *map(str, addresses)]
        apart = [source for source in known if source not in given]
        if apart and _report_and_image_came_apart(found, former):
            more_paths, more_addresses = _sorted_out(apart)
            again = [group for address in more_addresses for group in whole_mirror(workspace, address)]
            found = mine_sources(
                [*paths, *more_paths],
                mirrored=[*(groups or []), *again],
                roi_pattern=roi_pattern,
                progress=progress,
            )
            report.notes.append(
                f"{len(apart)} sources mined before were read again: reports and their images had come apart"
            )
        _check_on_images(found, former, progress)
        taken = catalogue.add(found, list(dict.fromkeys([*known, *given])))
        for source in mirrors:
            source.save_mined()
        report.already_done = taken.already_done
        report.details["store"] = {
            "address": str(catalogue.store.address),
            "rows written": taken.rows_written,
        }
        _fill(report, found, taken.tables)
        workspace.write_run_report("mine", report.finish().as_dict())
    return report


def _sorted_out(sources: Sequence[Path | str]) -> tuple[list[Path], list[PacsAddress]]:
    """Tell paths from addresses of PACS, each address once."""
    addresses = [PacsAddress.parse(str(source)) for source in sources if is_pacs_address(str(source))]
    paths = [Path(source) for source in sources if not is_pacs_address(str(source))]
    return paths, list(dict.fromkeys(addresses))


def _known_sources(catalogue: StoredCatalogue) -> list[str]:
    """The sources that the catalogue was mined from and that are still there."""
    return [s for s in catalogue.sources() if is_pacs_address(s) or Path(s).exists()]


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
    burned_in = {*_burned_in(former.series), *_burned_in(found.series)}  # what an earlier run saw stays
    done = 0
    for series_uid, marks in todo.groupby("series_instance_uid"):
        for index, verdict in _verdicts(marks, checked, series_rows.loc[series_uid], slices_of[series_uid]):
            if verdict.burned_in:
                burned_in.add(str(series_uid))
            if verdict.reason:
                lesions.loc[index, ["status", "reason"]] = [REJECTED, verdict.reason]
            if verdict.flag:
                flags = [
                    flag for flag in lesions.loc[index, "flags"].split(";") if flag not in ("", verdict.flag)
                ]
                lesions.loc[index, "flags"] = ";".join([*flags, verdict.flag])
        done += len(marks)
        progress("check marks on their images", done, len(todo))
    _flag_burned_in(found.series, burned_in)


def _burned_in(series: pd.DataFrame) -> list[str]:
    flagged = [BURNED_IN in flags.split(";") for flags in series["flags"]]
    return [str(uid) for uid in series.series_instance_uid[flagged]]


def _flag_burned_in(series: pd.DataFrame, uids: set[str]) -> None:
    """Flag, in place, the series on whose pixels text was seen."""
    for index, row in series[series.series_instance_uid.isin(uids)].iterrows():
        flags = [flag for flag in row["flags"].split(";") if flag not in ("", BURNED_IN)]
        series.loc[index, "flags"] = ";".join([*flags, BURNED_IN])


@dataclass(frozen=True)
class _Verdict:
    reason: str = ""  # why the mark cannot stand
    flag: str = ""  # a remark on a mark that stands
    burned_in: bool = False  # its slice seems to hold drawn text


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
            hu = reader.read([int(slice_index)])[0]
            body = body_mask(hu, plane_spacing(series.to_dict()))
        except LesionGraphError as error:
            for index in on_slice.index:
                yield index, _Verdict(reason=f"{UNREADABLE}: {_cause(error)}")
            continue
        burned_in = suspect_text(hu, body.patient)
        for index, row in on_slice.iterrows():
            if burned_in:
                yield index, _Verdict(burned_in=True)
            if not on_body(body.patient, BoundingBox(row.x0, row.y0, row.x1, row.y1)):
                # where the field of view cuts the body, what lies outside the mask may still be patient
                cut = body.flag == FLAG_CUT
                yield index, _Verdict(flag=PERHAPS_OFF_BODY) if cut else _Verdict(reason=OFF_BODY)


def _was_judged(lesions: pd.DataFrame) -> pd.Series[bool]:
    """Whether an earlier run saw the mark on its pixels: not where the image was absent or unreadable."""
    duplicate = lesions.reason.str.startswith(rules.DUPLICATE.reason)  # found on rows that had passed
    stood = (lesions.status == KEPT) | (lesions.reason == OFF_BODY) | duplicate
    return (lesions.slice_index >= 0) & stood


def _former_verdict(row: pd.Series) -> _Verdict:
    reason = OFF_BODY if row.reason == OFF_BODY else ""
    return _Verdict(reason, PERHAPS_OFF_BODY if PERHAPS_OFF_BODY in row["flags"].split(";") else "")


def _cause(error: LesionGraphError) -> str:
    return str(getattr(error, "cause", "") or getattr(error, "found", "") or type(error).__name__)


def _fill(report: RunReport, found: MiningResult, merged: MiningResult) -> None:
    # kept and rejected are counted again below: images and other objects have had their say by then
    judged = ("kept", "rejected")
    report.counts.update({k: n for k, n in found.counts.items() if k.partition(":")[0] not in judged})
    lesions = merged.lesions[merged.lesions.lesion_id.isin(found.lesions.lesion_id)]
    kept = lesions[lesions.status == KEPT]
    report.counts["marks kept"] = len(kept)
    for source, number in kept.source.value_counts().items():
        report.counts[f"marks kept from {source}"] = int(number)
    report.counts["marks rejected"] = len(lesions) - len(kept)
    report.counts["catalogue rows"] = len(merged.lesions)
    if burned_in := _burned_in(found.series):
        report.counts[f"series with {BURNED_IN}"] = len(burned_in)
    _count_reasons(report, lesions.loc[lesions.status == REJECTED, "reason"])


def _count_reasons(report: RunReport, reasons: pd.Series[str]) -> None:
    """Count rejections by reason, a duplicate's without the mark it names, and by rule."""
    names = {reason: rule for reason in reasons.unique() if (rule := rules.rule_of(reason)) is not None}
    told = reasons.where(~reasons.str.startswith(rules.DUPLICATE.reason), rules.DUPLICATE.name)
    report.rejected.update({str(reason): int(n) for reason, n in told.value_counts().items()})
    by_rule = reasons[reasons.isin(names)].map(lambda reason: names[reason].name).value_counts()
    report.counts.update({f"rejected by rule: {name}": int(n) for name, n in by_rule.items()})
