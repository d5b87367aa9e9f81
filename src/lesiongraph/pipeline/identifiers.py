"""Whether a workspace holds identifiers: decided once, kept to by every later run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lesiongraph.errors import SourceNotFoundError, UsageError
from lesiongraph.mining import (
    MIRROR,
    Deidentifier,
    expected_key_id,
    find_key,
    is_table,
    mark_workspace,
    mirror_folders,
)
from lesiongraph.pipeline.progress import Progress
from lesiongraph.workspace import RunReport, Workspace

OBJECTS = "objects"  # below the mirror, beside the mark that names the key


@dataclass(frozen=True)
class Identifiers:
    """What is done with the identifiers of sources.

    Attributes
    ----------
    removed : bool, optional
        True: removed on the way in. False: kept. None: as the workspace was mined before; else kept.
    key : Path, optional
        The key file; without it the workspace's default one.
    """

    removed: bool | None = None
    key: Path | None = None

    def are_removed(self, workspace: Workspace) -> bool:
        """Whether this run removes identifiers.

        Raises
        ------
        UsageError
            If a workspace of the other kind would be added to, or a key is given that nothing needs.
        """
        already = bool(expected_key_id(workspace.path))
        removed = already if self.removed is None else self.removed
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

    def taken_in(
        self, workspace: Workspace, sources: Sequence[Path], report: RunReport, progress: Progress
    ) -> Sequence[Path]:
        """Return where mining shall read: the sources, or their de-identified copy (call inside `lock`).

        Raises
        ------
        UsageError
            As `are_removed`, or if a source cannot be de-identified.
        """
        if not self.are_removed(workspace):
            if self.removed is False:
                report.notes.append("identifiers kept: names, ids and dates are as the sources hold them")
            return sources
        _check_sources(sources)
        mirror = workspace.path / MIRROR / OBJECTS
        with find_key(workspace.path, self.key) as key:
            mark_workspace(workspace.path, key)
            door = Deidentifier(key)
            report.counts.update(mirror_folders(sources, mirror, door, progress=progress))
            report.details["de-identification"] = dict(sorted(door.counts.items()))
            report.notes.append(f"de-identified with the key {key.key_id}, kept outside the workspace")
        return [mirror]


KEEP = Identifiers()


def _check_sources(sources: Sequence[Path]) -> None:
    for source in sources:
        if is_table(source):
            raise UsageError(
                f"{source}: expected folders of DICOM for --deidentify, found a table of files, whose names "
                "and columns nothing here can clean. De-identify it before, and mine with --keep-identifiers."
            )
        if not source.exists():
            raise SourceNotFoundError(source, "a folder of DICOM")
