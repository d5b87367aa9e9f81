"""Sources → catalogue: marks are read, checked against their images, and added to what is there."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from lesiongraph.lesion import KEPT, REJECTED
from lesiongraph.mining import BURNED_IN, IMAGE_NOT_FOUND, MiningResult, mine_sources, rules
from lesiongraph.mining.pacs import MirroredStudy, PacsAddress, is_pacs_address
from lesiongraph.pipeline.identifiers import KEEP, Identifiers
from lesiongraph.pipeline.marks_on_images import check_on_images, series_burned_in
from lesiongraph.pipeline.pacs_source import PacsOptions, pull_source, whole_mirror
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.stored_catalogue import StoredCatalogue, Taken, stored_catalogue
from lesiongraph.workspace import RunReport, Workspace


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
                workspace, address, door.guarded(pacs or PacsOptions()), is_known=str(address) in known,
                roi_pattern=roi_pattern, report=report, progress=progress,
            )
            for address in addresses
        ]  # fmt: skip
        given = [*(str(path.absolute()) for path in paths), *map(str, addresses)]
        read = partial(mine_sources, roi_pattern=roi_pattern, progress=progress)
        groups = [group for source in mirrors for group in source.groups()] if mirrors else None
        found = read(paths, mirrored=groups)
        apart = [source for source in known if source not in given]
        if apart and _report_and_image_came_apart(found, former):
            more_paths, more_groups = _mined_before(workspace, apart)
            found = read([*paths, *more_paths], mirrored=[*(groups or []), *more_groups])
            report.notes.append(
                f"{len(apart)} sources mined before were read again: reports and their images had come apart"
            )
        check_on_images(found, former, progress)
        taken = catalogue.add(found, list(dict.fromkeys([*known, *given])))
        for source in mirrors:
            source.save_mined()
        _fill(report, found, taken, str(catalogue.store.address))
        workspace.write_run_report("mine", report.finish().as_dict())
    return report


def _mined_before(
    workspace: Workspace, sources: Sequence[str]
) -> tuple[list[Path], list[list[MirroredStudy]]]:
    """Return the paths among sources, and of each PACS all that its mirror holds."""
    paths, addresses = _sorted_out(sources)
    return paths, [group for address in addresses for group in whole_mirror(workspace, address)]


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


def _fill(report: RunReport, found: MiningResult, taken: Taken, address: str) -> None:
    """Say what was found, and what became of it in the catalogue."""
    report.already_done = taken.already_done
    report.details["store"] = {"address": address, "rows written": taken.rows_written}
    # kept and rejected are counted again below: images and other objects have had their say by then
    judged = ("kept", "rejected")
    report.counts.update({k: n for k, n in found.counts.items() if k.partition(":")[0] not in judged})
    everything = taken.tables.lesions
    lesions = everything[everything.lesion_id.isin(found.lesions.lesion_id)]
    kept = lesions[lesions.status == KEPT]
    report.counts["marks kept"] = len(kept)
    for source, number in kept.source.value_counts().items():
        report.counts[f"marks kept from {source}"] = int(number)
    report.counts["marks rejected"] = len(lesions) - len(kept)
    report.counts["catalogue rows"] = len(everything)
    if burned_in := series_burned_in(found.series):
        report.counts[f"series with {BURNED_IN}"] = len(burned_in)
    _count_reasons(report, lesions.loc[lesions.status == REJECTED, "reason"])


def _count_reasons(report: RunReport, reasons: pd.Series[str]) -> None:
    """Count rejections by reason, a duplicate's without the mark it names, and by rule."""
    names = {reason: rule for reason in reasons.unique() if (rule := rules.rule_of(reason)) is not None}
    told = reasons.where(~reasons.str.startswith(rules.DUPLICATE.reason), rules.DUPLICATE.name)
    report.rejected.update({str(reason): int(n) for reason, n in told.value_counts().items()})
    by_rule = reasons[reasons.isin(names)].map(lambda reason: names[reason].name).value_counts()
    report.counts.update({f"rejected by rule: {name}": int(n) for name, n in by_rule.items()})
