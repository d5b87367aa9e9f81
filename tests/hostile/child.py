"""Mine in a process of its own, so that its memory and time can be measured and bounded."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

ROOM_BYTES = 3 << 30  # address space beyond what the process begins with: a bomb that is held fails at once
PEAK_KB = 700_000  # resident memory that mining a folder of small files may come to
SECONDS = 60


@dataclass
class Mined:
    """What came of it."""

    counts: dict[str, int]
    lesions: pd.DataFrame
    peak_kb: int
    seconds: float

    @property
    def reasons(self) -> list[str]:
        """Why rows were rejected."""
        return sorted(self.lesions.reason[self.lesions.status == "rejected"])


def mine(sources: Sequence[Path | str], workspace: Path, peak_kb: int = PEAK_KB) -> Mined:
    """Mine in a child and return what it found; fail where it dies, or takes too long or too much memory."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lesiongraph.pipeline.mine"])
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(sources, workspace, sender))
    child.start()
    sender.close()
    try:
        found: Any = (
            receiver.recv() if receiver.poll(SECONDS) else TimeoutError(f"not done after {SECONDS} s")
        )
    except EOFError:
        found = RuntimeError("the process died")
    child.kill()
    child.join()
    if isinstance(found, BaseException):
        raise found
    assert found.peak_kb < peak_kb
    return found


def _work(sources: Sequence[Path | str], workspace: Path, sender: Any) -> None:
    from lesiongraph.pipeline.catalogue import catalogue_table
    from lesiongraph.pipeline.mine import mine as mine_into
    from lesiongraph.workspace import Workspace

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    begun = time.monotonic()
    try:
        report = mine_into(Workspace(workspace), sources)
        lesions = catalogue_table(Workspace(workspace))
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sender.send(Mined(dict(report.counts), lesions, peak_kb, time.monotonic() - begun))
    except BaseException as error:
        sender.send(RuntimeError(f"{type(error).__name__}: {error}"))
