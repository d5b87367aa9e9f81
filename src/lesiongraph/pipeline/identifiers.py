"""Whether a workspace holds identifiers: decided once, kept to by every later run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from lesiongraph.errors import SourceNotFoundError, UsageError
from lesiongraph.mining import (
    MIRROR,
    Arrival,
    AsItIs,
    Deidentifier,
    Originals,
    expected_key_id,
    find_key,
    is_table,
    mark_workspace,
    mirror_folders,
    unmark_if_empty,
)
from lesiongraph.pipeline.pacs_source import PacsOptions
from lesiongraph.pipeline.progress import Progress
from lesiongraph.workspace import RunReport, Workspace

OBJECTS = "objects"  # below the mirror, beside the mark that names the key


@dataclass(frozen=True)
class Identifiers:
    """What is done with the identifiers of sources.

    Attributes
    ----------
    removed : bool, optional
        True: removed on the way in. False: kept. None: as the workspace was mined before; a new
        one removes those of a PACS and keeps those of folders.
    key : Path, optional
        The key file; without it the workspace's default one.
    pacs_too : bool
        Where `removed` is None, a new workspace keeps the identifiers of a PACS, too.
    """

    removed: bool | None = None
    key: Path | None = None
    pacs_too: bool = False

    def are_removed(self, workspace: Workspace, *, for_pacs: bool = False) -> bool:
        """Whether this run removes identifiers; by default it does where a new workspace mines a PACS.

        Raises
        ------
        UsageError
            If a workspace of the other kind would be added to, or a key is given that nothing needs.
        """
        already = bool(expected_key_id(workspace.path))
        by_default = already or (for_pacs and not self.pacs_too and not workspace.has("catalogue"))
        removed = by_default if self.removed is None else self.removed
        if already and not removed:
            raise UsageError(
                f"{workspace.path}: expected --deidentify, as this workspace was mined before, found "
                "--keep-identifiers. Use another workspace for data with identifiers."
            )
        if removed and not already and workspace.has("catalogue"):
            raise UsageError(
                f"{workspace.path}: expected a new workspace for --deidentify, found one whose catalogue "
                "holds identifiers. Use another workspace (-w)."
            )
        if self.key is not None and not removed:
            raise UsageError(
                "--key: expected --deidentify beside it, found none. Add it, or leave out --key."
            )
        return removed

    @contextmanager
    def door(
        self, workspace: Workspace, sources: Sequence[Path], report: RunReport, *, for_pacs: bool
    ) -> Iterator[Door]:
        """Open what everything passes that comes into the workspace (call inside `lock`).

        A workspace that this call marks as de-identified, and into which nothing came, is not marked.

        Raises
        ------
        UsageError
            As `are_removed`, or if one of the sources cannot be de-identified.
        """
        if not self.are_removed(workspace, for_pacs=for_pacs):
            if self.removed is False:
                report.notes.append("identifiers kept: names, ids and dates are as the sources hold them")
            yield Door(workspace, report, AsItIs())
            return
        _check_sources(sources)
        was_marked = bool(expected_key_id(workspace.path))
        with find_key(workspace.path, self.key) as key:
            mark_workspace(workspace.path, key)
            cleaner = Deidentifier(key)
            try:
                yield Door(workspace, report, cleaner, removes=True)
            except BaseException:
                if not was_marked:
                    unmark_if_empty(workspace.path)
                raise
            report.details["de-identification"] = dict(sorted(cleaner.counts.items()))
            report.notes.append(f"de-identified with the key {key.key_id}, kept outside the workspace")


@dataclass(frozen=True)
class Door:
    """What comes into the workspace passes `arrival`."""

    workspace: Workspace
    report: RunReport
    arrival: Arrival
    removes: bool = False

    def taken_in(self, sources: Sequence[Path], progress: Progress) -> Sequence[Path]:
        """Return where mining shall read: the sources, or their de-identified copy."""
        if not self.removes or not sources:
            return sources
        mirror = self.workspace.path / MIRROR / OBJECTS
        self.report.counts.update(mirror_folders(sources, mirror, self.arrival, progress=progress))
        return [mirror]

    def guarded(self, options: PacsOptions) -> PacsOptions:
        """Return how a PACS is read: through this door, or as its options say where it keeps identifiers."""
        return replace(options, arrival=self.arrival) if self.removes else options


KEEP = Identifiers(pacs_too=True)  # for callers in Python; the command line removes a PACS's


def _check_sources(sources: Sequence[Path]) -> None:
    for source in sources:
        if is_table(source):
            raise UsageError(
                f"{source}: expected folders of DICOM for --deidentify, found a table of files, whose names "
                "and columns nothing here can clean. De-identify it before, and mine with --keep-identifiers."
            )
        if not source.exists():
            raise SourceNotFoundError(source, "a folder of DICOM")


@contextmanager
def originals_of(workspace: Workspace, key: Path | None) -> Iterator[Originals | None]:
    """Give the way from a de-identified workspace's UIDs back to the PACS's; None where it kept them.

    Raises
    ------
    UsageError
        If a key is given that nothing needs.
    LesionGraphError
        If the key file is absent, or another workspace's.
    """
    if not expected_key_id(workspace.path):
        if key is not None:
            raise UsageError(
                f"--key: expected a de-identified workspace, found {workspace.path}, which is not."
            )
        yield None
        return
    with find_key(workspace.path, key, new=False) as opened:
        yield Originals(opened)
