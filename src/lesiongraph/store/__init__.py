"""Takes the catalogue's tables and people's decisions, keeps them in SQLite or PostgreSQL (no paper part)."""

from lesiongraph.store.address import StoreAddress
from lesiongraph.store.catalogue import CatalogueChange, CatalogueStore, CatalogueView, Committed, Run
from lesiongraph.store.clock import utc_now
from lesiongraph.store.ledger import ReportLedger
from lesiongraph.store.moving import move
from lesiongraph.store.rows import storable

__all__ = [
    "CatalogueChange",
    "CatalogueStore",
    "CatalogueView",
    "Committed",
    "ReportLedger",
    "Run",
    "StoreAddress",
    "move",
    "storable",
    "utc_now",
]
