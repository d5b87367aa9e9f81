"""A workspace: one folder on disk, one sub-folder a stage, one pointer file that says which are valid.

A stage writes into a folder of its own under `.part`; only when all of it is on disk does one atomic
rename of `workspace.json` make it the stage's result. A kill or a full disk therefore leaves the
workspace as it was (ADR 1). Each stage carries a key made of its inputs and options: the same key means
the work is done already.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from lesiongraph.errors import (
    DiskFullError,
    LesionGraphError,
    NotAWorkspaceError,
    StageMissingError,
    WorkspaceBusyError,
    WorkspaceVersionError,
)
from lesiongraph.lesion import conform
from lesiongraph.workspace.damaged import readable
from lesiongraph.workspace.sorted_table import SortedTable, plain_text

LAYOUT_VERSION = 1
_POINTER = "workspace.json"
_LOCK = ".lock"
# What a stage leaves when it is killed; nothing else in the folder is ever removed.
_LEFTOVER = re.compile(r"[a-z][a-z0-9_]*(\.part|-[^/]*-[0-9a-f]{6})")
_FULL = (errno.ENOSPC, errno.EDQUOT)
# numpy and safetensors hide the system's error number in words
_FULL_WORDS = re.compile(r"No space left|os error 28|requested and \d+ written|quota exceeded", re.IGNORECASE)


def fingerprint(*parts: object) -> str:
    """Return a short stable hash of JSON-able values."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StageFolder:
    """The files of one stage result."""

    path: Path

    def write_table(self, name: str, frame: pd.DataFrame, schema: dict[str, str] | None = None) -> None:
        """Write a frame as `<name>.parquet`, checked against `schema` where given."""
        checked = conform(frame, schema) if schema is not None else frame
        with (self.path / f"{name}.parquet").open("wb") as handle:
            checked.to_parquet(handle, index=False)

    def read_table(self, name: str) -> pd.DataFrame:
        """Read `<name>.parquet`; text columns come back as plain Python strings."""
        path = self.path / f"{name}.parquet"
        with readable(path):
            frame = pd.read_parquet(path)
        return plain_text(frame)

    def open_sorted(self, name: str, key: str) -> SortedTable:
        """Open `<name>.parquet`, written by `write_sorted`, to be read by the values of a column."""
        return SortedTable(self.path / f"{name}.parquet", key)

    def take_file(self, path: Path) -> None:
        """Take a finished file as it is: linked where the disk allows it, so that it costs no copy."""
        try:
            os.link(path, self.path / path.name)
        except OSError:  # another device, or a file system without links
            shutil.copyfile(path, self.path / path.name)

    def write_array(self, name: str, array: np.ndarray) -> None:
        """Write an array as `<name>.npy`."""
        with (self.path / f"{name}.npy").open("wb") as handle:
            np.save(_Chunks(handle), array)

    def read_array(self, name: str) -> np.ndarray:
        """Memory-map `<name>.npy` read-only."""
        path = self.path / f"{name}.npy"
        with readable(path):
            array: np.ndarray = np.load(path, mmap_mode="r")
        return array

    def create_array(self, name: str, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        """Return a writable memory-mapped `<name>.npy`, its room on the disk taken at once.

        A mapped file without its blocks would end the process (SIGBUS) when the disk fills up; this way
        the want of space is an error before any work is done.
        """
        path = self.path / f"{name}.npy"
        array = np.lib.format.open_memmap(path, "w+", dtype, shape)
        with path.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, max(path.stat().st_size, 1))
        return array

    def write_json(self, name: str, value: object) -> None:
        """Write `<name>.json`."""
        (self.path / f"{name}.json").write_text(json.dumps(value, indent=2, default=_plain) + "\n")

    def read_json(self, name: str) -> Any:
        """Read `<name>.json`."""
        path = self.path / f"{name}.json"
        with readable(path):
            return json.loads(path.read_text())


class Workspace:
    """The stages' shared folder.

    Parameters
    ----------
    path : Path
        Created by the first stage that writes; must be empty or a workspace.

    Raises
    ------
    NotAWorkspaceError
        If the folder holds something else.
    WorkspaceVersionError
        If another layout version wrote it, or its pointer file cannot be read.

    A result whose files are damaged raises `DamagedResultError` when it is read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stages = self._read_pointer()

    def has(self, stage: str) -> bool:
        """Whether a result of `stage` exists."""
        return stage in self._stages

    def key(self, stage: str) -> str:
        """Return the key of a stage's result, "" where there is none."""
        return str(self._stages.get(stage, {}).get("key", ""))

    def is_current(self, stage: str, key: str) -> bool:
        """Whether `stage` holds the result of exactly these inputs and options."""
        return self.key(stage) == key

    def stage_names(self) -> list[str]:
        """Return the stages that have a result, in the order they were written."""
        return list(self._stages)

    def open(self, stage: str, run_first: str, what: str | None = None) -> StageFolder:
        """Return the folder of a stage's result.

        Raises
        ------
        StageMissingError
            If there is none; the message names the verb to run first.
        """
        entry = self._stages.get(stage)
        if entry is None:
            raise StageMissingError(what or stage, f"{run_first} -w {self.path}", self.path)
        return StageFolder(self.path / entry["folder"])

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for writing; the system frees it when the process ends, however it ends.

        Raises
        ------
        WorkspaceBusyError
            If another process holds it.
        """
        before = self._what_exists()
        try:
            self._create()
            with self._locked():
                self._stages = self._read_pointer()
                self._sweep()
                yield
        except BaseException:
            self._remove_if_empty(before)
            raise

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / _LOCK).open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise WorkspaceBusyError(self.path, handle.read().strip() or "unknown") from None
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    @contextlib.contextmanager
    def write(self, stage: str, key: str) -> Iterator[StageFolder]:
        """Write a stage's result: all of it, or nothing (call inside `lock`).

        Raises
        ------
        DiskFullError
            If the device has no space left; the former result stays.
        """
        part = self.path / f"{stage}.part"
        target = self.path / f"{stage}-{key}-{os.urandom(3).hex()}"
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield StageFolder(part)
            _flush(part)
            part.rename(target)
            self._point(stage, {"folder": target.name, "key": key})
        except BaseException as error:
            for folder in (part, target):  # the pointer itself may be what found no room
                shutil.rmtree(folder, ignore_errors=True)
            if is_disk_full(error):
                raise DiskFullError(self.path) from error
            raise
        self._sweep()

    def scratch(self, name: str) -> Path:
        """Return a path for partial work that a later run may take up; never read as a result."""
        folder = self.path / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / name

    @contextlib.contextmanager
    def scratch_file(self, name: str) -> Iterator[Path]:
        """Give a path for a file that is gone afterwards (call inside `lock`).

        Raises
        ------
        DiskFullError
            If the device has no space left.
        """
        path = self.scratch(name)
        try:
            yield path
        except BaseException as error:
            if is_disk_full(error) and not isinstance(error, DiskFullError):
                raise DiskFullError(self.path) from error
            raise
        finally:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()  # unless something else is there

    def write_run_report(self, verb: str, report: dict[str, Any]) -> None:
        """Keep the last run report of a verb.

        The result is on disk by then: if only its report finds no room, the report says so in its notes.
        """
        folder = self.path / "runs"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _replace(folder / f"{verb}.json", json.dumps(report, indent=2, default=_plain) + "\n")
        except (DiskFullError, OSError) as error:
            if not is_disk_full(error):
                raise
            report["notes"].append("the disk is full: the result was kept, this report was not")

    def write_note(self, name: str, value: dict[str, Any]) -> None:
        """Keep a small JSON object beside the stages, whole or not at all (call inside `lock`)."""
        _replace(self.path / f"{name}.json", json.dumps(value, indent=2) + "\n")

    def read_note(self, name: str) -> dict[str, Any]:
        """Return what `write_note` kept, empty where nothing is."""
        path = self.path / f"{name}.json"
        if not path.exists():
            return {}
        with readable(path):
            note: dict[str, Any] = json.loads(path.read_text())
            return note

    def remove_note(self, name: str) -> None:
        """Forget a note."""
        (self.path / f"{name}.json").unlink(missing_ok=True)

    def read_run_reports(self) -> dict[str, Any]:
        """Return the last run report of each verb."""
        reports = {}
        for path in sorted((self.path / "runs").glob("*.json")):
            with readable(path):
                reports[path.stem] = json.loads(path.read_text())
        return reports

    def _read_pointer(self) -> dict[str, dict[str, str]]:
        pointer = self.path / _POINTER
        if not pointer.exists():
            leftovers = [p for p in self.path.iterdir() if p.name != _LOCK] if self.path.is_dir() else []
            if leftovers or (self.path.exists() and not self.path.is_dir()):
                raise NotAWorkspaceError(self.path)
            return {}
        try:
            content = json.loads(pointer.read_text())
            layout, stages = content["layout"], content["stages"]
        except (OSError, ValueError, KeyError, TypeError):
            raise WorkspaceVersionError(self.path, "unreadable", LAYOUT_VERSION) from None
        if layout != LAYOUT_VERSION:
            raise WorkspaceVersionError(self.path, layout, LAYOUT_VERSION)
        # a result whose folder someone deleted is a result that is not there
        return {name: entry for name, entry in stages.items() if (self.path / entry["folder"]).is_dir()}

    def _create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / _POINTER).exists():
            self._save({})

    def _what_exists(self) -> tuple[bool, bool]:
        return self.path.exists(), (self.path / _POINTER).exists()

    def _remove_if_empty(self, before: tuple[bool, bool]) -> None:
        """Take back what this call created, where nothing was put into it: a failure leaves no trace."""
        folder_was, pointer_was = before
        if pointer_was or self._stages:
            return
        with contextlib.suppress(OSError):
            for name in ("scratch", "runs", "mirror"):
                if (self.path / name).is_dir():
                    (self.path / name).rmdir()  # stops here where one of them holds something
            if any(path.name not in (_POINTER, _LOCK) for path in self.path.iterdir()):
                return  # the catalogue's database: it stays, and needs its workspace
            for name in (_POINTER, _LOCK):
                (self.path / name).unlink(missing_ok=True)
            if not folder_was:
                self.path.rmdir()

    def _point(self, stage: str, entry: dict[str, str]) -> None:
        stages = {name: old for name, old in self._stages.items() if name != stage}
        stages[stage] = entry
        self._save(stages)
        self._stages = stages

    def _save(self, stages: dict[str, dict[str, str]]) -> None:
        _replace(
            self.path / _POINTER,
            json.dumps({"layout": LAYOUT_VERSION, "stages": stages}, indent=2) + "\n",
        )

    def _sweep(self) -> None:
        """Remove what a killed run left: stage folders no pointer names. Other folders are the user's."""
        valid = {entry["folder"] for entry in self._stages.values()}
        for folder in self.path.iterdir():
            if folder.is_dir() and folder.name not in valid and _LEFTOVER.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or what caused it, says that no space is left on the device."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _FULL:
            return True
        if not isinstance(seen, LesionGraphError) and _FULL_WORDS.search(str(seen)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


class _Chunks:
    """A file without a descriptor: numpy then writes through Python, which names a full disk as such."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle

    def write(self, data: bytes) -> int:
        return self._handle.write(data)


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        with part.open("w") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise DiskFullError(path.parent) from error
        raise


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _plain(value: object) -> object:
    """Turn numpy scalars and paths into JSON values."""
    if isinstance(value, np.generic):
        return value.item()
    return str(value)
