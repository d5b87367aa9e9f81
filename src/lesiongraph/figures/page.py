"""Sections → one self-contained HTML page: pictures inlined, no script, no address outside the file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import pandas as pd
from matplotlib.figure import Figure

from lesiongraph.figures.theme import to_data_uri, to_png


@dataclass
class Section:
    """A chapter of the report: what it shows, then its figures and tables.

    A figure the data cannot give is not left out in silence: `missing` says why it is not here.
    """

    title: str
    text: str
    figures: list[tuple[str, Figure]] = field(default_factory=list)  # caption, figure
    tables: list[tuple[str, pd.DataFrame]] = field(default_factory=list)  # caption, rows
    missing: str = ""


def render_page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the whole page as HTML text."""
    style = (resources.files("lesiongraph.figures") / "page.css").read_text()
    contents = "".join(
        f'<li><a href="#s{i}">{html.escape(section.title)}</a></li>' for i, section in enumerate(sections)
    )
    body = "".join(_section(i, section) for i, section in enumerate(sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>"
        '<p class="warning">Research software. Not for clinical use.</p></header>'
        f"<nav><ol>{contents}</ol></nav><main>{body}</main></body></html>\n"
    )


def _section(number: int, section: Section) -> str:
    parts = [
        f'<section id="s{number}"><h2>{html.escape(section.title)}</h2><p>{html.escape(section.text)}</p>'
    ]
    if section.missing:
        parts.append(f'<p class="missing">Not shown: {html.escape(section.missing)}</p>')
    for caption, rows in section.tables:
        parts.append(f"<h3>{html.escape(caption)}</h3>{_table(rows)}")
    for caption, figure in section.figures:
        picture = to_data_uri(to_png(figure))
        parts.append(
            f'<figure><img alt="{html.escape(caption)}" src="{picture}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    parts.append("</section>")
    return "".join(parts)


def _table(rows: pd.DataFrame) -> str:
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows.columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>"
        for row in rows.itertuples(index=False)
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else html.escape(str(value))
