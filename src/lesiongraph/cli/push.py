"""`lesiongraph push`: lesion groups → structured reports in the PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lesiongraph.cli.console import progress, show_report
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


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("push")(push)


def push(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    to: Annotated[
        str | None, typer.Option("--to", help="The PACS: dicomweb+http(s)://host:port/path.")
    ] = None,
    dry_run: Annotated[
        Path | None, typer.Option("--dry-run", help="Write the reports into this folder; send nothing.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Send anew what was sent before and is gone from the PACS.")
    ] = False,
    token: TokenOption = None,
    user: UserOption = None,
    ca: CaOption = None,
    rate: RateOption = 0.0,
    timeout: TimeoutOption = 60.0,
    retries: RetriesOption = 5,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Key file of a de-identified workspace, if not in its usual place."),
    ] = None,
    store: StoreOption = None,
    json: JsonFlag = False,
) -> None:
    """Store the matched lesions as one structured report a study (DICOM SR, TID 1500).

    A report that the PACS holds is not sent again; where groups changed, a new one names the former as its
    predecessor. Nothing is overwritten.
    """
    from lesiongraph.mining.pacs.address import PacsSettings, secrets_from
    from lesiongraph.pipeline.push import push_to_pacs as run
    from lesiongraph.workspace import Workspace

    settings = PacsSettings(
        **secrets_from(token=token, user=user),
        ca=ca,
        rate=rate,
        timeout_s=timeout,
        retries=retries,
    )
    with progress() as callback:
        report = run(
            Workspace(workspace), to,
            key=key, dry_run=dry_run, again=again, settings=settings, store=store, progress=callback,
        )  # fmt: skip
    show_report(report, json, str(dry_run or to))
    if report.counts["failures"]:
        raise typer.Exit(1)
