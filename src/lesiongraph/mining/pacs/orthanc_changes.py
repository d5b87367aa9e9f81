"""Orthanc's log of changes (`/changes`, beside DICOMweb): which studies to look at again."""

from __future__ import annotations

from typing import Any

from lesiongraph.mining.pacs.dicomweb import DicomwebConnection
from lesiongraph.mining.pacs.errors import PacsRefusedError, PacsUnreachableError
from lesiongraph.mining.pacs.pacs import Changes, Mark

_AT_ONCE = 1000
_LEVELS = {"Study": "studies", "Series": "series", "Instance": "instances"}
# Deleted resources cannot be asked about, and what was mined of them stays.
_OF_INTEREST = ("NewStudy", "NewSeries", "NewInstance")


class OrthancChanges:
    """The log of changes of the Orthanc behind a DICOMweb service, where it is one."""

    def __init__(self, web: DicomwebConnection) -> None:
        self._web = web
        self._root = web.address.path.rpartition("/")[
            0
        ]  # "/dicom-web" → "", "/orthanc/dicom-web" → "/orthanc"

    def mark(self) -> Mark | None:
        """Return where the log ends now; None where there is no such log, or it is empty."""
        page = self._page(last="true")
        return _mark(page["Changes"][-1]) if page and page["Changes"] else None

    def changes(self, since: Mark) -> Changes | None:
        """Return the studies that changed since a mark, and where the log ends now.

        None where there is no log, or it is another one: the change at `since` must be what it was.
        """
        place = since.sequence - 1
        found: list[dict[str, Any]] = []
        while True:
            page = self._page(since=place, limit=_AT_ONCE)
            if not page or not page["Changes"]:
                return None  # not even the change at `since`
            if not found and _mark(page["Changes"][0]) != since:
                return None
            found += page["Changes"]
            if page.get("Done", True):
                break
            place = int(page["Last"])
        return Changes(tuple(self._studies(found[1:])), _mark(found[-1]))

    def _studies(self, changes: list[dict[str, Any]]) -> list[str]:
        """Return the Study Instance UIDs that changes refer to; a series' instances are asked about once."""
        todo = {_id(change) for change in changes if change.get("ChangeType") in _OF_INTEREST}
        studies: dict[str, None] = {}
        done: set[tuple[str, str]] = set()
        for level, ident in sorted(todo, key=lambda change: list(_LEVELS).index(change[0])):
            if (level, ident) in done:
                continue
            if level == "Instance":
                ident = str((self._resource("Instance", ident) or {}).get("ParentSeries", ""))
                level = "Series"
            if level == "Series" and ident and (level, ident) not in done:
                series = self._resource("Series", ident) or {}
                done |= {("Series", ident), *(("Instance", each) for each in series.get("Instances", []))}
                level, ident = "Study", str(series.get("ParentStudy", ""))
            if level == "Study" and ident and (level, ident) not in done:
                done.add((level, ident))
                uid = (self._resource("Study", ident) or {}).get("MainDicomTags", {}).get("StudyInstanceUID")
                if uid:
                    studies[str(uid)] = None
        return list(studies)

    def _resource(self, level: str, ident: str) -> dict[str, Any] | None:
        found = self._web.get_json(f"{self._root}/{_LEVELS[level]}/{ident}")
        return found if isinstance(found, dict) else None

    def _page(self, **parameters: str | int) -> dict[str, Any] | None:
        try:
            page = self._web.get_json(f"{self._root}/changes", **parameters)
        except (PacsRefusedError, PacsUnreachableError):
            return None  # a search will tell what is wrong, if something is
        return page if isinstance(page, dict) and isinstance(page.get("Changes"), list) else None


def _id(change: dict[str, Any]) -> tuple[str, str]:
    return str(change.get("ResourceType")), str(change.get("ID"))


def _mark(change: dict[str, Any]) -> Mark:
    return Mark(int(change["Seq"]), f"{change.get('Date')} {change.get('ChangeType')}")
