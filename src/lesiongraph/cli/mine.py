"""`lesiongraph mine`: sources → lesion catalogue."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lesiongraph.cli.console import ProgressCallback, progress, say, say_json, show_report
from lesiongraph.cli.options import (
    DEFAULT_WORKSPACE,
    CaOption,
    JsonFlag,
    RateOption,
    RetriesOption,
    StoreOption,
    TimeoutOption,
    TokenOption,
    UserOption,
    WorkspaceOption,
)

if TYPE_CHECKING:  # light verbs do without
    from lesiongraph.pipeline.follow import Round
    from lesiongraph.pipeline.identifiers import Identifiers
    from lesiongraph.pipeline.pacs_source import PacsOptions
    from lesiongraph.workspace import Workspace

_DAY = ["%Y-%m-%d"]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("mine")(mine)


def mine(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="DICOM folders, DeepLesion releases (a folder with DL_info.csv), image + mask CSVs, "
            "or a PACS: dicomweb+http://HOST:PORT/PATH, dimse://AET@HOST:PORT."
        ),
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    roi: Annotated[
        str | None, typer.Option("--roi", help="Regular expression: which structures are lesions.")
    ] = None,
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=_DAY, help="First study date to mine."),
    ] = None,
    last: Annotated[
        datetime | None,
        typer.Option("--to", formats=_DAY, help="Last study date to mine."),
    ] = None,
    token: TokenOption = None,
    user: UserOption = None,
    ca: CaOption = None,
    step: Annotated[
        float | None, typer.Option("--step", min=1.0, help="Millimetres between the slices fetched for z.")
    ] = None,
    page_size: Annotated[int, typer.Option("--page-size", min=1, help="Studies asked for at once.")] = 100,
    parallel: Annotated[int, typer.Option("--parallel", min=1, help="Requests under way at once.")] = 4,
    rate: RateOption = 0.0,
    timeout: TimeoutOption = 60.0,
    retries: RetriesOption = 5,
    aet: Annotated[str, typer.Option("--aet", help="Our AE title, for dimse://.")] = "LESIONGRAPH",
    move_port: Annotated[
        int, typer.Option("--move-port", help="Where C-MOVE may send to, for a peer without C-GET.")
    ] = 0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Watch the PACS; mine, locate, embed and match what arrives.")
    ] = False,
    every: Annotated[
        float, typer.Option("--every", min=1.0, help="Seconds between two looks with --follow.")
    ] = 15.0,
    deidentify: Annotated[
        bool | None,
        typer.Option(
            "--deidentify/--keep-identifiers",
            help="Remove names, ids, dates and free text on the way in (docs/deidentification.md). "
            "Without either: as the workspace was mined before; a new one removes what a PACS holds.",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Key file, outside the workspace: the way back to the originals."),
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Read lesion marks into the catalogue; sources add up.

    A mark met again changes nothing. Marks that cannot stand stay in the catalogue as rejected, with the
    reason. Of a PACS, reports and headers are fetched, and only the slices that their marks need; the next
    run asks for what changed. Exit code 1 if a PACS could not be read to its end: what it gave is kept.
    """
    from lesiongraph.mining.pacs import DateWindow, PacsSettings, secrets_from
    from lesiongraph.pipeline.identifiers import Identifiers
    from lesiongraph.pipeline.mine import mine as run
    from lesiongraph.pipeline.pacs_source import INCOMPLETE, STEP_MM, PacsOptions
    from lesiongraph.workspace import Workspace

    settings = PacsSettings(
        **secrets_from(token=token, user=user),
        ca=ca,
        client_ae=aet,
        move_port=move_port,
        page_size=page_size,
        parallel=parallel,
        rate=rate,
        timeout_s=timeout,
        retries=retries,
        window=DateWindow(first.date() if first else None, last.date() if last else None),
    )
    options = PacsOptions(settings, step_mm=step or STEP_MM)
    identifiers = Identifiers(removed=deidentify, key=key)
    if follow:
        _follow(
            Workspace(workspace), sources, options, every,
            identifiers=identifiers, roi=roi, store=store, json=json,
        )  # fmt: skip
        return
    with progress() as callback:
        report = run(
            Workspace(workspace),
            sources,
            roi_pattern=roi,
            pacs=options,
            identifiers=identifiers,
            store=store,
            progress=callback,
        )
    show_report(report, json, str(workspace))
    if report.details.get(INCOMPLETE):
        raise typer.Exit(1)


def _follow(
    workspace: Workspace,
    sources: list[str],
    options: PacsOptions,
    every_s: float,
    *,
    identifiers: Identifiers,
    roi: str | None,
    store: str | None,
    json: bool,
) -> None:
    """Print a few lines for each round that brought something, until Control-C."""
    from lesiongraph.pipeline.follow import follow as run

    def quiet(_what: str, _done: int, _total: int) -> None:
        """Say nothing: rounds follow each other without end."""

    callback: ProgressCallback = quiet
    try:
        for found in run(
            workspace,
            sources,
            options=options,
            identifiers=identifiers,
            every_s=every_s,
            roi_pattern=roi,
            store=store,
            progress=callback,
        ):
            _show_round(found, json)
    except KeyboardInterrupt:
        say("stopped; the workspace holds what was fetched and mined so far.")


def _show_round(found: Round, as_json: bool) -> None:
    from lesiongraph.pipeline.pacs_source import INCOMPLETE

    if found.is_quiet and not found.mined.details.get(INCOMPLETE):
        return
    if as_json:
        say_json({"seconds": found.seconds, "stages": [r.as_dict() for r in (found.mined, *found.stages)]})
        return
    now = datetime.now().strftime("%H:%M:%S")
    show_report(found.mined, False, f"{now} round of {found.seconds:.1f} s")
    for report in found.stages:
        show_report(report, False, report.verb)
