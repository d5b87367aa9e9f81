"""Sources → catalogue: marks are read, checked against their images, and added to what is there."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lesiongraph.lesion import KEPT, REJECTED
from lesiongraph.mining import BURNED_IN, rules
from lesiongraph.mining.pacs import PacsAddress, is_pacs_address
from lesiongraph.pipeline.identifiers import KEEP, Identifiers
from lesiongraph.pipeline.marks_on_images import check_on_images
from lesiongraph.pipeline.pacs_source import PacsOptions, pull_source, whole_mirror
from lesiongraph.pipeline.portions import Portion, Tally, joined, portions
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.pipeline.stored_catalogue import StoredCatalogue, Taken, stored_catalogue
from lesiongraph.workspace import RunReport, Workspace

READ_AGAIN = "{} sources mined before were read again: reports and their images had come apart"


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
        known = _known_sources(catalogue)
        paths = list(door.taken_in(paths, progress))
        mirrors = [
            pull_source(
                workspace, address, door.guarded(pacs or PacsOptions()), is_known=str(address) in known,
                roi_pattern=roi_pattern, report=report, progress=progress,
            )
            for address in addresses
        ]  # fmt: skip
        given = [*(str(path.absolute()) for path in paths), *map(str, addresses)]
        all_sources = list(dict.fromkeys([*known, *given]))
        apart = [source for source in known if source not in given]
        tally = Tally()
        todo = deque(portions(paths, mirrors))
        shown = progress if len(todo) == 1 else tally.shown(progress, todo)
        while todo:
            portion = todo.popleft()
            found = portion.read(roi_pattern, shown)
            if apart and catalogue.came_apart(found):
                portion = joined([portion, *todo, _mined_before(workspace, apart)])
                todo.clear()
                found = portion.read(roi_pattern, progress)
                report.notes.append(READ_AGAIN.format(len(apart)))
            check_on_images(found, catalogue.around(found), shown)
            if todo:
                tally.rows_written.update(catalogue.add_part(found, all_sources))
            else:
                taken = catalogue.add(found, all_sources)
                tally.rows_written.update(taken.rows_written)
            for source in mirrors:
                source.save_mined(portion.patients or ())
            tally.take(found, portion)
        _fill(report, tally, taken, str(catalogue.store.address))
        workspace.write_run_report("mine", report.finish().as_dict())
    return report


def _mined_before(workspace: Workspace, sources: Sequence[str]) -> Portion:
    """Return the paths among sources, and of each PACS all that its mirror holds."""
    paths, addresses = _sorted_out(sources)
    return Portion(paths, [group for address in addresses for group in whole_mirror(workspace, address)])


def _sorted_out(sources: Sequence[Path | str]) -> tuple[list[Path], list[PacsAddress]]:
    """Tell paths from addresses of PACS, each address once."""
    addresses = [PacsAddress.parse(str(source)) for source in sources if is_pacs_address(str(source))]
    paths = [Path(source) for source in sources if not is_pacs_address(str(source))]
    return paths, list(dict.fromkeys(addresses))


def _known_sources(catalogue: StoredCatalogue) -> list[str]:
    """The sources that the catalogue was mined from and that are still there."""
    return [s for s in catalogue.sources() if is_pacs_address(s) or Path(s).exists()]


def _fill(report: RunReport, tally: Tally, taken: Taken, address: str) -> None:
    """Say what was found, and what became of it in the catalogue."""
    report.already_done = taken.already_done
    report.details["store"] = {"address": address, "rows written": dict(tally.rows_written)}
    # kept and rejected are counted again below: images and other objects have had their say by then
    judged = ("kept", "rejected")
    report.counts.update({k: n for k, n in tally.counts.items() if k.partition(":")[0] not in judged})
    lesions = taken.lesions[taken.lesions.lesion_id.isin(tally.lesion_ids)]
    kept = lesions[lesions.status == KEPT]
    report.counts["marks kept"] = len(kept)
    for source, number in kept.source.value_counts().items():
        report.counts[f"marks kept from {source}"] = int(number)
    report.counts["marks rejected"] = len(lesions) - len(kept)
    report.counts["catalogue rows"] = len(taken.lesions)
    if tally.burned_in:
        report.counts[f"series with {BURNED_IN}"] = len(tally.burned_in)
    _count_reasons(report, lesions.loc[lesions.status == REJECTED, "reason"])


def _count_reasons(report: RunReport, reasons: pd.Series[str]) -> None:
    """Count rejections by reason, a duplicate's without the mark it names, and by rule."""
    names = {reason: rule for reason in reasons.unique() if (rule := rules.rule_of(reason)) is not None}
    told = reasons.where(~reasons.str.startswith(rules.DUPLICATE.reason), rules.DUPLICATE.name)
    report.rejected.update({str(reason): int(n) for reason, n in told.value_counts().items()})
    by_rule = reasons[reasons.isin(names)].map(lambda reason: names[reason].name).value_counts()
    report.counts.update({f"rejected by rule: {name}": int(n) for name, n in by_rule.items()})
