"""Watch sources: what arrives goes through mine → locate → embed → match, with the embedder there is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from lesiongraph.errors import NotEnoughDataError, UsageError, WorkspaceBusyError
from lesiongraph.mining.pacs import (
    DateWindow,
    Mirror,
    PacsAddress,
    PacsUnreachableError,
    is_pacs_address,
)
from lesiongraph.pipeline.embed import embed
from lesiongraph.pipeline.identifiers import KEEP, Identifiers
from lesiongraph.pipeline.locate import locate
from lesiongraph.pipeline.match import match
from lesiongraph.pipeline.mine import mine
from lesiongraph.pipeline.pacs_source import INCOMPLETE, PacsOptions
from lesiongraph.pipeline.progress import Progress, silent
from lesiongraph.workspace import RunReport, Workspace

AGAIN_AFTER_S = 600.0  # ours: between two searches of a whole PACS for what it could not give before
LOOK_BACK = timedelta(days=7)  # ours: where a PACS keeps no log of changes, only recent studies are searched


@dataclass
class Round:
    """What one look at the sources brought.

    Attributes
    ----------
    mined : RunReport
    stages : list of RunReport
        Those of locate, embed and match; empty where nothing was new, or there is nothing to embed yet.
    is_quiet : bool
        Whether there was nothing new.
    seconds : float
    """

    mined: RunReport
    stages: list[RunReport] = field(default_factory=list)
    is_quiet: bool = True
    seconds: float = 0.0


def follow(
    workspace: Workspace,
    addresses: Sequence[str],
    *,
    options: PacsOptions,
    every_s: float,
    identifiers: Identifiers = KEEP,
    roi_pattern: str | None = None,
    store: str | None = None,
    workers: int = 1,
    rounds: int | None = None,
    sleep: Callable[[float], None] = time.sleep,
    progress: Progress = silent,
) -> Iterator[Round]:
    """Yield a `Round` each `every_s` seconds, for ever or for so many rounds.

    The first round mines all of the window. Later ones ask for what changed since: by the PACS's log of
    changes where it keeps one (Orthanc), else by a search of the last `LOOK_BACK` days, which a study that
    arrives with an older date escapes until the next whole run. Nothing is trained: the workspace's embedder
    serves, or the packaged one.

    A PACS out of reach, or a workspace that another process writes to, does not end the watch: the round's
    report says so, and the next one asks again.

    Raises
    ------
    UsageError
        If a source is no PACS.
    PacsUnreachableError, PacsRefusedError
        If the first round cannot begin.
    """
    if not addresses or not all(is_pacs_address(address) for address in addresses):
        raise UsageError("--follow watches a PACS: expected addresses (dicomweb+http://…) as sources.")
    done_key = ""
    count = 0
    while rounds is None or count < rounds:
        started = time.perf_counter()
        recent = options if count == 0 else _recent(workspace, addresses, options)
        found = Round(RunReport("mine"))
        try:
            found.mined = mine(
                workspace,
                addresses,
                roi_pattern=roi_pattern,
                pacs=recent,
                identifiers=identifiers,
                store=store,
                progress=progress,
            )
            if workspace.key("catalogue") != done_key:
                found.is_quiet = False
                _take_on(workspace, found, workers, progress)
                done_key = workspace.key("catalogue")
        except (PacsUnreachableError, WorkspaceBusyError) as error:
            if count == 0:
                raise
            found.mined.finish().details[INCOMPLETE] = [str(error)]
            found.mined.notes.append(f"passed over until the next round: {error}")
        found.seconds = round(time.perf_counter() - started, 3)
        yield found
        count += 1
        if rounds is None or count < rounds:
            sleep(max(0.0, every_s - found.seconds))


def _recent(workspace: Workspace, addresses: Sequence[str], options: PacsOptions) -> PacsOptions:
    """Narrow the window to the last days, unless each PACS keeps a log of what changed."""
    options = dataclasses.replace(options, again_after_s=AGAIN_AFTER_S)
    if all(Mirror(workspace.path, PacsAddress.parse(address)).has_log for address in addresses):
        return options
    window = options.settings.window
    first = max(filter(None, (window.first, date.today() - LOOK_BACK)))
    if window.last is not None and window.last < first:
        return options  # a window of the past: it is searched as it is
    settings = dataclasses.replace(options.settings, window=DateWindow(first, window.last))
    return dataclasses.replace(options, settings=settings)


def _take_on(workspace: Workspace, found: Round, workers: int, progress: Progress) -> None:
    """Take the catalogue through the stages that need no training."""
    try:
        found.stages.append(locate(workspace, workers=workers, progress=progress))
        found.stages.append(embed(workspace, progress=progress))
        found.stages.append(match(workspace)[1])
    except NotEnoughDataError as error:
        found.mined.notes.append(f"nothing to embed or match yet: {error}")
