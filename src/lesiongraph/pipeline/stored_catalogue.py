"""The catalogue in its database, and the snapshot of it that the later stages read (ADR 16)."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesiongraph.errors import StoreError, StoreMismatchError, StoreMovedError
from lesiongraph.lesion import BREAK, CONFIRM, Decision, rule
from lesiongraph.mining import MiningResult, as_found, assign_subsets, in_order, merge_into, reject_duplicates
from lesiongraph.pipeline.catalogue import DECISIONS, TABLES, read_catalogue
from lesiongraph.pipeline.decided import apply_ruling
from lesiongraph.store import (
    CatalogueChange,
    CatalogueStore,
    CatalogueView,
    Committed,
    StoreAddress,
    storable,
)
from lesiongraph.workspace import Workspace, fingerprint

SOURCES = "sources"  # kept beside the tables: what this workspace was mined from
DEFAULT_FILE = "catalogue.sqlite"
_NOTE = "store"  # which database, and of which of its revisions the snapshot is


@dataclass(frozen=True)
class Taken:
    """What a change made of the catalogue."""

    tables: MiningResult  # as people decided
    already_done: bool  # the snapshot was this already
    rows_written: dict[str, int]


@contextlib.contextmanager
def stored_catalogue(workspace: Workspace, asked: str | None = None) -> Iterator[StoredCatalogue]:
    """Open the workspace's catalogue for writing (call inside `workspace.lock`).

    A workspace of an earlier version, which has a snapshot alone, is taken over: its rows go into the
    database. A database file that this call made is removed again if the call fails.

    Parameters
    ----------
    workspace : Workspace
    asked : str, optional
        URL of the database. By default the one the workspace remembers, or a SQLite file inside it.

    Raises
    ------
    UsageError
        If `asked` is no such URL.
    StoreMismatchError
        If the workspace's catalogue lies elsewhere.
    StoreError
        If the database is gone, is not the one that the workspace was written from, or cannot be used.
    """
    store = CatalogueStore(_address(workspace, asked))
    made_here = not store.exists and not workspace.read_note(_NOTE)
    catalogue = StoredCatalogue(workspace, store)
    try:
        catalogue.check_and_take_over()
        yield catalogue
    except BaseException:
        if made_here:
            store.remove()
            workspace.remove_note(_NOTE)
        raise


def _address(workspace: Workspace, asked: str | None) -> StoreAddress:
    default = StoreAddress.of_file(workspace.path / DEFAULT_FILE)
    note = workspace.read_note(_NOTE)
    kept = StoreAddress.parse(note["url"]) if note.get("url") else default
    if not asked:
        return kept
    wanted = StoreAddress.parse(asked)
    is_bound = bool(note) or (default.file is not None and default.file.exists())
    if is_bound and not wanted.same_place(kept) and not _has_left(kept):
        raise StoreMismatchError(workspace.path, str(kept), str(wanted))
    return wanted


def _has_left(address: StoreAddress) -> bool:
    """Whether the catalogue is no longer there: whether it came to another address, its `store_id` tells."""
    store = CatalogueStore(address)
    if not store.exists:
        return True
    try:
        with store.read():
            return False
    except StoreMovedError:
        return True


class StoredCatalogue:
    """One workspace's hold on a catalogue store.

    The database holds what was found; people's decisions are applied on the way into the snapshot, so that a
    later decision, or an undo, finds what was there.
    """

    def __init__(self, workspace: Workspace, store: CatalogueStore) -> None:
        self.workspace = workspace
        self.store = store
        self._former: tuple[int, MiningResult] | None = None  # revision, tables

    def check_and_take_over(self) -> None:
        """Hold the database to be the workspace's own; fill it from a snapshot of an earlier version."""
        note = self.workspace.read_note(_NOTE)
        if not note:
            if self.workspace.has("catalogue"):
                self.add(read_catalogue(self.workspace), self.sources(), verb="take over")
            return
        found = "no such file"
        if self.store.exists:
            with self.store.read() as view:
                found = f"another database ({view.store_id})"
                if view.store_id == note["store_id"]:
                    self.bind(self.store.address)
                    return
        raise StoreError(
            str(self.store.address),
            f"expected the database {note['store_id']} that {self.workspace.path} was written from, "
            f"found {found}",
            "Put it back from a backup (it alone holds people's decisions), or mine into a new workspace.",
        )

    def bind(self, address: StoreAddress) -> None:
        """Have the workspace remember where its catalogue lies now."""
        note = self.workspace.read_note(_NOTE)
        if note["url"] != self._remembered(address):
            self.workspace.write_note(_NOTE, note | {"url": self._remembered(address)})

    def _remembered(self, address: StoreAddress) -> str:
        """Return the URL without its password, "" for the default: a workspace can be moved or copied."""
        default = StoreAddress.of_file(self.workspace.path / DEFAULT_FILE)
        return "" if address.same_place(default) else str(address)

    def former(self) -> MiningResult:
        """Return the catalogue as found up to now; empty before anything was."""
        if not self.store.exists:
            return MiningResult()
        with self.store.read() as view:
            return self._read(view)

    def sources(self) -> list[str]:
        """Return what this workspace was mined from."""
        if not self.workspace.has("catalogue"):
            return []
        sources: list[str] = self.workspace.open("catalogue", "mine SOURCE").read_json(SOURCES)
        return sources

    def add(self, found: MiningResult, sources: Sequence[str], verb: str = "mine") -> Taken:
        """Put what was found into the database and write the snapshot: all of it, or nothing.

        What another process has added meanwhile is merged with.
        """
        found = MiningResult(**{name: storable(getattr(found, name), name) for name in TABLES})
        found.lesions = as_found(found.lesions)
        with self.store.change() as change:
            former = self._read(change)
            merged, part = merge_into(found, former)
            _judge_duplicates(merged, part, former)
            changed = [name for name in TABLES if getattr(merged, name) is not getattr(former, name)]
            if changed:  # a run that finds everything as it was leaves the database as it is, to the byte
                change.begin_run(verb, str(self.workspace.path.absolute()), sources)
                for name in changed:
                    change.put(name, getattr(part, name), getattr(former, name))
                change.mark_seen("lesions", found.lesions.lesion_id)
                change.mark_seen("series", found.series.series_instance_uid)
            return self._finish(change, merged, sources)

    def decide(self, choose: Callable[[pd.DataFrame, list[Decision]], Decision]) -> Decision:
        """Add a decision and write the snapshot anew where it changes it.

        Parameters
        ----------
        choose : callable
            Given the lesions as found and the decisions so far, of which no other process can change any
            meanwhile: checks and returns the decision.
        """
        with self.store.change() as change:
            decision = change.decide(choose(change.table("lesions"), change.decisions()))
            if decision.kind in (CONFIRM, BREAK) and self.workspace.has("catalogue"):
                decisions = change.decisions()  # on pairs: no row of the catalogue changes
                change.commit()
                self._write_decisions(decisions)
            else:
                self._finish(change, self._read(change), self.sources())
        return decision

    def refresh(self) -> Taken:
        """Write the snapshot anew where the database has moved on: other workspaces may share it."""
        with self.store.change() as change:
            return self._finish(change, self._read(change), self.sources())

    def _read(self, view: CatalogueView) -> MiningResult:
        revision = view.revision
        if self._former is None or self._former[0] != revision:
            tables = {name: view.table(name) for name in TABLES if name != "slices"}
            # the largest table by far: the snapshot gives it ten times faster, where it is of this revision
            slices = self._slices_of_snapshot(revision)
            tables["slices"] = view.table("slices") if slices is None else slices
            self._former = revision, in_order(MiningResult(**tables))
        return self._former[1]

    def _slices_of_snapshot(self, revision: int) -> pd.DataFrame | None:
        note, key = self.workspace.read_note(_NOTE), self.workspace.key("catalogue")
        if not key or (note.get("revision"), note.get("catalogue")) != (revision, key):
            return None
        return self.workspace.open("catalogue", "mine SOURCE").read_table("slices")

    def _finish(self, change: CatalogueChange, tables: MiningResult, sources: Sequence[str]) -> Taken:
        """Apply the decisions, write the snapshot, commit: in this order a full disk keeps nothing."""
        decisions, store_id = change.decisions(), change.store_id
        lesions = assign_subsets(apply_ruling(tables.lesions, rule(decisions)))
        decided = MiningResult(lesions, tables.series, tables.slices, tables.landmarks)
        key = content_key(decided)
        done = self.workspace.is_current("catalogue", key)
        if done:
            committed = self._commit(change, store_id, key)
        else:
            with self.workspace.write("catalogue", key) as folder:
                for name, schema in TABLES.items():
                    folder.write_table(name, getattr(decided, name), schema)
                folder.write_json(SOURCES, list(sources))
                committed = self._commit(change, store_id, key)
        self._former = committed.revision, tables
        self._write_decisions(decisions)
        return Taken(decided, done, committed.rows)

    def _commit(self, change: CatalogueChange, store_id: str, key: str) -> Committed:
        committed = change.commit()
        url = self._remembered(self.store.address)
        note = {"url": url, "store_id": store_id, "revision": committed.revision, "catalogue": key}
        if note != self.workspace.read_note(_NOTE):
            self.workspace.write_note(_NOTE, note)
        return committed

    def _write_decisions(self, decisions: Sequence[Decision]) -> None:
        rows = pd.DataFrame([vars(decision) for decision in decisions])
        key = fingerprint(rows.to_dict("records"))
        if len(rows) and not self.workspace.is_current(DECISIONS, key):
            with self.workspace.write(DECISIONS, key) as folder:
                folder.write_table(DECISIONS, rows)


def _judge_duplicates(merged: MiningResult, part: MiningResult, former: MiningResult) -> None:
    """Reject, in place, marks that another object repeats; people's decisions come after, and stand.

    Such marks lie on one image, so the part of the catalogue that a run could change holds all of them. A
    mark met again stands until it is judged: if the judgement is the former one, nothing has changed.
    """
    part.lesions = reject_duplicates(part.lesions)
    if merged.lesions is not former.lesions:
        judged = reject_duplicates(merged.lesions)
        merged.lesions = former.lesions if judged.equals(former.lesions) else judged


def content_key(tables: MiningResult) -> str:
    """Return a name of what the four tables hold."""
    digest = hashlib.sha256()
    for name in TABLES:
        frame = getattr(tables, name)
        digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]


def export(workspace: Workspace, folder: Path, asked: str | None = None) -> dict[str, int]:
    """Write the catalogue of today as Parquet; return the rows of each file.

    `lesions` (as people decided), `series`, `slices`, `landmarks`, `decisions`, and `provenance`: when each
    lesion and series was first and last found.
    """
    with workspace.lock(), stored_catalogue(workspace, asked) as catalogue:
        if not catalogue.store.exists:
            read_catalogue(workspace)  # nothing mined: says so
        tables = catalogue.refresh().tables
        with catalogue.store.read() as view:
            frames = {name: getattr(tables, name) for name in TABLES}
            frames[DECISIONS] = pd.DataFrame(
                [vars(decision) for decision in view.decisions()], columns=list(Decision.__dataclass_fields__)
            )
            frames["provenance"] = view.provenance()
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        part = folder / f"{name}.parquet.part"
        frame.to_parquet(part, index=False)
        part.replace(folder / f"{name}.parquet")
    return {name: len(frame) for name, frame in frames.items()}
