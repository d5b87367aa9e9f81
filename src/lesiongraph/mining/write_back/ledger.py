"""What was sent where, and which lesion carries which tracking UID: lines that are only ever added.

Each line is on the disk before the next thing happens. A line that a kill cut in two is left aside: the PACS
is asked again before anything is sent twice. UIDs in it are the workspace's or our own, never an original's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from lesiongraph.mining.write_back.facts import Tracking


@dataclass(frozen=True)
class Sent:
    """One report that a destination holds, or once held."""

    destination: str
    study: str  # as the workspace knows it
    sop_instance_uid: str
    digest: str
    predecessor: str
    at: str  # ISO date and time


class Ledger:
    """The file.

    Parameters
    ----------
    path : Path
        Made by the first line that is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tracking: dict[str, Tracking] = {}
        self._sent: dict[tuple[str, str], Sent] = {}
        self.damaged_lines = 0
        for line in path.read_bytes().splitlines() if path.exists() else []:
            self._read(line)

    def tracking(self) -> Mapping[str, Tracking]:
        """Return lesion id → tracking, as last reported."""
        return self._tracking

    def last(self, destination: str, study: str) -> Sent | None:
        """Return the newest report of a study that was sent to a destination."""
        return self._sent.get((destination, study))

    def studies(self, destination: str) -> set[str]:
        """Return the studies of which a report was sent to a destination."""
        return {study for where, study in self._sent if where == destination}

    def add_tracking(self, tracked: Mapping[str, Tracking]) -> None:
        """Keep the tracking of lesions; what is known already is not written again."""
        new = {lesion: t for lesion, t in sorted(tracked.items()) if self._tracking.get(lesion) != t}
        self._add({"lesion": lesion, "uid": t.uid, "number": t.number} for lesion, t in new.items())
        self._tracking.update(new)

    def add_sent(self, sent: Sent) -> None:
        """Keep what was sent."""
        self._add([asdict(sent)])
        self._sent[sent.destination, sent.study] = sent

    def _read(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if "lesion" in entry:
                self._tracking[entry["lesion"]] = Tracking(str(entry["uid"]), int(entry["number"]))
            else:
                sent = Sent(**entry)
                self._sent[sent.destination, sent.study] = sent
        except (ValueError, TypeError, KeyError):
            self.damaged_lines += 1

    def _add(self, entries: Iterable[Mapping[str, object]]) -> None:
        lines = [json.dumps(entry) + "\n" for entry in entries]
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # the rest of a line that a kill cut
                    file.write(b"\n")
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())
