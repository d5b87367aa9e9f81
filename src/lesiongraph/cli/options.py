"""Options that several verbs share, each defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[
    Path, typer.Option("-w", "--workspace", help="The workspace folder that the stages share.")
]
DEFAULT_WORKSPACE = Path("lesiongraph-workspace")
JsonFlag = Annotated[bool, typer.Option("--json", help="Print the run report as JSON.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Random seed.")]
CsvOption = Annotated[Path | None, typer.Option("--csv", help="Write a CSV file here instead of a table.")]
