"""Print how often each rule rejects or remarks, as a Markdown table (docs/rules.md).

Usage: python tools/rule_counts.py NAME=WORKSPACE...

Each workspace holds a mined catalogue; the columns are its name, and "rejected / flagged" in each cell.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from lesiongraph.lesion import KEPT, REJECTED
from lesiongraph.mining import duplicates, rules
from lesiongraph.pipeline.catalogue import catalogue_table
from lesiongraph.workspace import Workspace


def main(named: list[str]) -> None:
    """Print the table of rules, then what no rule judged."""
    catalogues = {
        name: catalogue_table(Workspace(Path(path)))
        for name, path in (argument.split("=", 1) for argument in named)
    }
    print("| rule | " + " | ".join(catalogues) + " |")
    print("|---" * (len(catalogues) + 1) + "|")
    for rule in rules.RULES:
        cells = [f"{rejections(rule, table)} / {remarks(rule, table)}" for table in catalogues.values()]
        print(f"| {rule.name} | " + " | ".join(cells) + " |")
    print("| no rule: not found, unreadable, no pair of axes | ", end="")
    print(" | ".join(f"{unruled(table)} / –" for table in catalogues.values()), "|")
    print("| rows, of these kept | ", end="")
    print(" | ".join(f"{len(t)}, {(t.status == KEPT).sum()}" for t in catalogues.values()), "|")
    print("| two objects of one kind within 1 px | ", end="")
    print(" | ".join(str(near(t)) for t in catalogues.values()), "|")


def near(lesions: pd.DataFrame) -> int:
    """Kept marks that one tolerance for objects of all kinds would reject as duplicates."""
    duplicates.COPY_PX = rules.DUPLICATE_PX
    judged = duplicates.reject_duplicates(lesions.assign(tracking_uid=""))
    return int(((judged.status == REJECTED) & (lesions.status == KEPT)).sum())


def rejections(rule: rules.Rule, lesions: pd.DataFrame) -> int:
    """Rows that the rule rejected."""
    return int(lesions.reason[lesions.status == REJECTED].map(rule.rejected).sum())


def remarks(rule: rules.Rule, lesions: pd.DataFrame) -> int:
    """Kept rows that it remarked on."""
    flags = lesions["flags"][lesions.status == KEPT].str.split(";")
    return int(flags.map(lambda own: any(flag in own for flag in rule.flags)).sum())


def unruled(lesions: pd.DataFrame) -> int:
    """Rejected rows that no rule judged."""
    return int(lesions.reason[lesions.status == REJECTED].map(lambda r: rules.rule_of(r) is None).sum())


if __name__ == "__main__":
    main(sys.argv[1:])
