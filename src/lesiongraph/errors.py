"""Every error lesiongraph raises on purpose: one class per cause, carrying its values.

A message says what happened, what was expected, what was found and what to do next. The command line
turns a `LesionGraphError` into one line on standard error and exit code 1 (`UsageError`: 2).
"""

from __future__ import annotations

from pathlib import Path


class LesionGraphError(Exception):
    """Base of all errors that a user can act on."""

    exit_code = 1


class UsageError(LesionGraphError):
    """The call itself is wrong: an unknown option value, a missing argument, an unknown id."""

    exit_code = 2


class SourceNotFoundError(LesionGraphError):
    """A source given to `mine` or `locate-slices` does not exist or holds nothing readable."""

    def __init__(self, path: Path | str, expected: str) -> None:
        self.path = Path(path)
        self.expected = expected
        super().__init__(f"{path}: expected {expected}; found nothing of the kind. Check the path.")


class UnreadableImageError(LesionGraphError):
    """An image file exists but its pixels cannot be decoded."""

    def __init__(self, path: Path | str, cause: str) -> None:
        self.path = Path(path)
        self.cause = cause
        super().__init__(f"{path}: pixels cannot be read ({cause}). Replace or remove the file.")


class NotFetchedError(UnreadableImageError):
    """The pixels of a slice stayed in the PACS: the catalogue holds its header alone."""

    def __init__(self, slice_index: int) -> None:
        self.path = Path()
        self.cause = "not fetched from the PACS"
        LesionGraphError.__init__(
            self,
            f"slice {slice_index}: its pixels were not fetched from the PACS. "
            "Mine the PACS again, with a smaller --step to fetch more slices.",
        )


class NotCtError(LesionGraphError):
    """An image is not CT, or not in Hounsfield units."""

    def __init__(self, path: Path | str, found: str) -> None:
        self.path = Path(path)
        self.found = found
        super().__init__(f"{path}: expected a CT image in HU, found {found}. Leave it out.")


class WorkspaceVersionError(LesionGraphError):
    """The workspace was written by another layout version of lesiongraph."""

    def __init__(self, path: Path, found: object, expected: int) -> None:
        self.path = path
        self.found = found
        self.expected = expected
        super().__init__(
            f"{path}: workspace layout version {found!r}, this lesiongraph expects {expected}. "
            "Use another workspace folder (-w) or run the stages again into a new one."
        )


class NotAWorkspaceError(LesionGraphError):
    """The folder given as workspace exists, is not empty and holds no workspace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: expected an empty folder or a lesiongraph workspace (workspace.json). "
            "Choose another folder with -w."
        )


class StageMissingError(LesionGraphError):
    """A stage was called before the stage whose result it needs."""

    def __init__(self, missing: str, run_first: str, path: Path | None = None) -> None:
        self.missing = missing
        self.run_first = run_first
        where = f" in {path}" if path is not None else ""
        super().__init__(f"No {missing}{where}. Run `lesiongraph {run_first}` first.")


class WorkspaceBusyError(LesionGraphError):
    """Another process is writing to the workspace."""

    def __init__(self, path: Path, pid: str) -> None:
        self.path = path
        self.pid = pid
        super().__init__(
            f"{path}: another lesiongraph process (pid {pid}) is writing to this workspace. "
            "Wait for it to finish, or choose another workspace."
        )


class DiskFullError(LesionGraphError):
    """Writing failed for want of space; the workspace is as it was before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path}: no space left on the device. The workspace is as it was before this stage; "
            "free some space and run the stage again."
        )


class UnknownLesionError(UsageError):
    """A lesion id that is not in the catalogue, or has no embedding."""

    def __init__(self, lesion_id: str, known: int, hint: str = "") -> None:
        self.lesion_id = lesion_id
        tail = f" {hint}" if hint else ""
        super().__init__(
            f"Lesion {lesion_id!r} is not among the {known} embedded lesions of this workspace. "
            f"`lesiongraph catalogue --csv OUT` lists the ids.{tail}"
        )


class UnknownPatientError(UsageError):
    """A patient id that has no kept lesion in the catalogue."""

    def __init__(self, patient_id: str, known: int) -> None:
        self.patient_id = patient_id
        super().__init__(
            f"Patient {patient_id!r} has no kept lesion; the catalogue holds {known} patients. "
            "`lesiongraph catalogue --csv OUT` lists them."
        )


class WeightsError(LesionGraphError):
    """Network weights are absent, damaged or of the wrong kind."""

    def __init__(self, what: str, expected: str, found: str, next_step: str) -> None:
        self.what = what
        self.expected = expected
        self.found = found
        super().__init__(f"{what}: expected {expected}, found {found}. {next_step}")


class NotEnoughDataError(LesionGraphError):
    """A stage has too few lesions, volumes or labels to run."""

    def __init__(self, what: str, needed: object, found: object, next_step: str) -> None:
        self.what = what
        self.needed = needed
        self.found = found
        super().__init__(f"{what}: needs {needed}, found {found}. {next_step}")


class TableSchemaError(LesionGraphError):
    """A table (CSV, Parquet, DL_info) lacks a column or holds values that cannot be read."""

    def __init__(self, path: Path | str, expected: str, found: str) -> None:
        self.path = Path(path)
        self.expected = expected
        self.found = found
        super().__init__(f"{path}: expected {expected}; found {found}. Correct the table.")


class UnknownOriginalError(LesionGraphError):
    """A UID or id of a de-identified workspace whose original is not known."""

    def __init__(self, pseudonym: str, key: str = "the key file") -> None:
        self.pseudonym = pseudonym
        super().__init__(
            f"{pseudonym}: expected its original in {key}; found none. "
            "Give the key file that the workspace was mined with (--key)."
        )


class StoreError(LesionGraphError):
    """The catalogue's database cannot be reached, read or written.

    Parameters
    ----------
    where : str
        The database, without its password.
    cause, next_step : str
    """

    def __init__(self, where: str, cause: str, next_step: str) -> None:
        self.where = where
        self.cause = cause
        super().__init__(f"{where}: {cause}. {next_step}")


class StoreVersionError(LesionGraphError):
    """The catalogue's database was written by a newer lesiongraph."""

    def __init__(self, where: str, found: str, newest: str) -> None:
        self.where = where
        self.found = found
        self.newest = newest
        super().__init__(
            f"{where}: the catalogue's tables are of revision {found}; this lesiongraph knows them up to "
            f"revision {newest}. A newer lesiongraph wrote it: use that one, or another database."
        )


class StoreMovedError(StoreError):
    """The catalogue was moved to another database, and this one is no longer written to or read."""

    def __init__(self, where: str, moved_to: str) -> None:
        self.moved_to = moved_to
        super().__init__(
            where,
            f"this catalogue was moved to {moved_to}",
            f"Run the command once with --store {moved_to}; the workspace then remembers it.",
        )


class StoreNotEmptyError(UsageError):
    """The database that a catalogue is to be moved to holds something."""

    def __init__(self, where: str, table: str, rows: int) -> None:
        self.where = where
        self.table = table
        self.rows = rows
        super().__init__(
            f"{where}: expected an empty database, found {rows} rows in its table {table}. Create a new one; "
            "nothing was moved."
        )


class StoreMismatchError(UsageError):
    """The workspace's catalogue lies in another database than the one asked for."""

    def __init__(self, path: Path, kept: str, asked: str) -> None:
        self.path = path
        self.kept = kept
        self.asked = asked
        super().__init__(
            f"{path}: this workspace keeps its catalogue in {kept}; --store or LESIONGRAPH_STORE asks for "
            f"{asked}. Leave it out, or choose another workspace with -w."
        )


class DecisionError(UsageError):
    """A decision that cannot be taken: an unknown lesion, type or decision, or a mark that cannot stand."""
