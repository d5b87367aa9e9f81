"""The catalogue in its database, and the snapshot of it that the later stages read (ADR 16)."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

import pandas as pd

from lesiongraph.errors import StoreError, StoreMismatchError, StoreMovedError
from lesiongraph.lesion import BREAK, CONFIRM, SLICES, Decision, conform, rule
from lesiongraph.mining import (
    MiningResult,
    as_found,
    assign_subsets,
    in_order,
    merge_results,
    reject_duplicates,
    series_named,
)
from lesiongraph.pipeline.came_apart import came_apart
from lesiongraph.pipeline.catalogue import DECISIONS, SLICES_KEY, TABLES, Catalogue, read_catalogue
from lesiongraph.pipeline.decided import apply_ruling
from lesiongraph.pipeline.snapshot_slices import slices_near, slices_of
from lesiongraph.store import (
    CatalogueChange,
    CatalogueStore,
    CatalogueView,
    Committed,
    Run,
    StoreAddress,
    storable,
)
from lesiongraph.workspace import SortedTable, Workspace, fingerprint, write_sorted

SOURCES = "sources"  # kept beside the tables: what this workspace was mined from
DEFAULT_FILE = "catalogue.sqlite"
_NOTE = "store"  # which database the snapshot is of, and the last run that it shows


@dataclass(frozen=True)
class Taken:
    """What a change made of the catalogue."""

    lesions: pd.DataFrame  # all of the catalogue, as people decided
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

    def check_and_take_over(self) -> None:
        """Hold the database to be the workspace's own; fill it from a snapshot of an earlier version."""
        note = self.workspace.read_note(_NOTE)
        if not note:
            if self.workspace.has("catalogue"):
                self.add(_as_found(read_catalogue(self.workspace)), self.sources(), verb="take over")
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

    def around(self, found: MiningResult) -> MiningResult:
        """Return what the catalogue holds, as found up to now, of the marks and series in `found`.

        Without their slices.
        """
        if not self.store.exists:
            return MiningResult()
        with self.store.read() as view:
            return _around(view, _storable(found))

    def came_apart(self, found: MiningResult) -> bool:
        """Whether a report is in one, and its image in the other."""
        if not self.store.exists:
            return False
        with self.store.read() as view:
            return came_apart(_storable(found), view)

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
        with self.store.change() as change:
            written = self._put(change, found, sources, verb)
            return self._finish(change, sources, written)

    def add_part(self, found: MiningResult, sources: Sequence[str]) -> Counter[str]:
        """Put a part of what a run finds into the database alone; return the rows written of each table.

        The snapshot stays as it is until `add` takes the last part. If the run ends before, the database is
        ahead of it, and the next run's snapshot shows that.
        """
        with self.store.change() as change:
            self._put(change, found, sources, "mine")
            return Counter(change.commit().rows)

    def _put(
        self, change: CatalogueChange, found: MiningResult, sources: Sequence[str], verb: str
    ) -> MiningResult:
        """Merge with what is there of the same marks and series, at the cost of what was found; return it."""
        found = _storable(found)
        found.lesions = as_found(found.lesions)
        former = _around(change, found)
        former.slices = conform(slices_near(change, *self._snapshot(change), series_named(found)), SLICES)
        merged = merge_results([found, former])
        # Marks that repeat each other lie on one image, so all of them are here. A mark met again stands
        # until it is judged; people's decisions come after, and stand.
        merged.lesions = reject_duplicates(merged.lesions)
        changed = [name for name in TABLES if not getattr(merged, name).equals(getattr(former, name))]
        if not changed:  # a run that finds everything as it was leaves the database as it is, to the byte
            return MiningResult()
        change.begin_run(verb, str(self.workspace.path.absolute()), sources)
        for name in changed:
            change.put(name, getattr(merged, name), getattr(former, name))
        change.mark_seen("lesions", found.lesions.lesion_id)
        change.mark_seen("series", found.series.series_instance_uid)
        return merged

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
                self._finish(change, self.sources())
        return decision

    def refresh(self) -> Taken:
        """Write the snapshot anew where the database has moved on: other workspaces may share it."""
        with self.store.change() as change:
            return self._finish(change, self.sources())

    def _finish(
        self, change: CatalogueChange, sources: Sequence[str], written: MiningResult | None = None
    ) -> Taken:
        """Apply the decisions, write the snapshot, commit: in this order a full disk keeps nothing."""
        decisions, store_id = change.decisions(), change.store_id
        found = in_order(MiningResult(**{name: change.table(name) for name in TABLES if name != "slices"}))
        lesions = assign_subsets(apply_ruling(found.lesions, rule(decisions)))
        with self._slices(change, (written or MiningResult()).slices) as slices:
            key = content_key(lesions, found.series, slices.parts(), found.landmarks)
            done = self.workspace.is_current("catalogue", key)
            if done:
                committed = self._commit(change, store_id, key)
            else:
                with self.workspace.write("catalogue", key) as folder:
                    folder.write_table("lesions", lesions, TABLES["lesions"])
                    folder.write_table("series", found.series, TABLES["series"])
                    folder.write_table("landmarks", found.landmarks, TABLES["landmarks"])
                    folder.take_file(slices.path)
                    folder.write_json(SOURCES, list(sources))
                    committed = self._commit(change, store_id, key)
        self._write_decisions(decisions)
        return Taken(lesions, done, committed.rows)

    @contextlib.contextmanager
    def _slices(self, change: CatalogueChange, written: pd.DataFrame) -> Iterator[SortedTable]:
        """Give the database's slices as a file: the snapshot's own, unless some have changed since."""
        former, changed = self._snapshot(change)
        if former is not None and not changed:
            yield former
            return
        with self.workspace.scratch_file("slices.parquet") as path:
            write_sorted(path, slices_of(change, former, changed, written), SLICES)
            yield SortedTable(path, SLICES_KEY)

    def _snapshot(self, view: CatalogueView) -> tuple[SortedTable | None, list[str]]:
        """Return the snapshot's slices, if of this database's past, and the series that it has otherwise."""
        run = self._run_of_snapshot(view)
        if run is None:
            return None, []
        former = self.workspace.open("catalogue", "mine SOURCE").open_sorted("slices", SLICES_KEY)
        return former, view.series_changed("slices", since=run)

    def _run_of_snapshot(self, view: CatalogueView) -> Run | None:
        """Return the last run that the snapshot shows, where it is of this database's past."""
        note, key = self.workspace.read_note(_NOTE), self.workspace.key("catalogue")
        run = Run(**note["run"]) if note.get("run") else None
        if run is None or not key or note["catalogue"] != key or not view.knows(run):
            return None
        return run

    def _commit(self, change: CatalogueChange, store_id: str, key: str) -> Committed:
        run = change.last_run
        committed = change.commit()
        note = {
            "url": self._remembered(self.store.address),
            "store_id": store_id,
            "run": None if run is None else asdict(run),
            "catalogue": key,
        }
        if note != self.workspace.read_note(_NOTE):
            self.workspace.write_note(_NOTE, note)
        return committed

    def _write_decisions(self, decisions: Sequence[Decision]) -> None:
        rows = pd.DataFrame([vars(decision) for decision in decisions])
        key = fingerprint(rows.to_dict("records"))
        if len(rows) and not self.workspace.is_current(DECISIONS, key):
            with self.workspace.write(DECISIONS, key) as folder:
                folder.write_table(DECISIONS, rows)


def _storable(found: MiningResult) -> MiningResult:
    """Return it with the text that every database can hold; hostile headers hold other, real ones do not."""
    return MiningResult(**{name: storable(getattr(found, name), name) for name in TABLES})


def _around(view: CatalogueView, found: MiningResult) -> MiningResult:
    """Return the rows of the database that what was found could change, but for the slices."""
    uids = sorted(series_named(found))
    tables = {name: view.table(name, series_instance_uid=uids) for name in TABLES if name != "slices"}
    same_marks = view.table("lesions", lesion_id=sorted(set(found.lesions.lesion_id)))  # in whatever series
    lesions = pd.concat([tables["lesions"], same_marks], ignore_index=True).drop_duplicates("lesion_id")
    return in_order(MiningResult(**tables | {"lesions": lesions}))


def _as_found(catalogue: Catalogue) -> MiningResult:
    return MiningResult(catalogue.lesions, catalogue.series, catalogue.slices.whole(), catalogue.landmarks)


def content_key(
    lesions: pd.DataFrame, series: pd.DataFrame, slices: Iterable[pd.DataFrame], landmarks: pd.DataFrame
) -> str:
    """Return a name of what the four tables hold; the slices may come in parts."""
    digest = hashlib.sha256()
    for frame in chain([lesions, series], slices, [landmarks]):
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
        catalogue.refresh()
        snapshot = read_catalogue(workspace)
        frames = {name: getattr(snapshot, name) for name in TABLES if name != "slices"}
        with catalogue.store.read() as view:
            frames[DECISIONS] = pd.DataFrame(
                [vars(decision) for decision in view.decisions()], columns=list(Decision.__dataclass_fields__)
            )
            frames["provenance"] = view.provenance()
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        with _replacing(folder / f"{name}.parquet") as part:
            frame.to_parquet(part, index=False)
    with _replacing(folder / "slices.parquet") as part:
        shutil.copyfile(snapshot.slices.path, part)
    return {name: len(getattr(snapshot, name)) for name in TABLES} | {
        name: len(frames[name]) for name in (DECISIONS, "provenance")
    }


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    part = path.with_name(f"{path.name}.part")
    yield part
    part.replace(path)
