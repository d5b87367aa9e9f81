"""A workspace's catalogue into another database, where others can share it."""

from __future__ import annotations

from lesiongraph.errors import UsageError
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.stored_catalogue import stored_catalogue
from lesiongraph.store import CatalogueStore, StoreAddress, move
from lesiongraph.workspace import Workspace


def move_store(workspace: Workspace, to: str, store: str | None = None) -> dict[str, int]:
    """Move the catalogue with all decisions and the ledger of pushes; the workspace goes on with it there.

    Parameters
    ----------
    workspace : Workspace
    to : str
        URL of an empty database.
    store : str, optional
        URL of the present one; by default the one the workspace remembers.

    Returns
    -------
    dict of str to int
        Rows of each table.

    Raises
    ------
    UsageError
        If `to` is no such URL, or the catalogue lies there already.
    StageMissingError
        If nothing was mined.
    StoreNotEmptyError
        If the database is not empty.
    StoreError, StoreMismatchError
        If one of the two cannot be used, or `store` is not the workspace's.
    """
    target = CatalogueStore(StoreAddress.parse(to))
    with workspace.lock(), stored_catalogue(workspace, store) as catalogue:
        if not catalogue.store.exists:
            read_catalogue(workspace)  # nothing mined: says so
        if catalogue.store.address.same_place(target.address):
            raise UsageError(f"{target.address}: the catalogue of {workspace.path} lies there already.")
        rows = move(catalogue.store, target)
        catalogue.bind(target.address)
    return rows
