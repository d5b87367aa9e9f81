"""Sections → one self-contained HTML page: pictures inlined, no script, no address outside the file."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources

import pandas as pd
from matplotlib.figure import Figure

from lesiongraph.figures.theme import to_data_uri, to_png

# Forbids the browser whatever the page does not carry itself.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass
class Picture:
    """A figure, what to look at in it, and what a reader who cannot see it should know."""

    caption: str
    figure: Figure
    alt: str = ""  # the caption where left out


@dataclass
class Table:
    """Rows under a caption; `folded` tables open on a click, `reference` rows are not this run's own."""

    caption: str
    rows: pd.DataFrame
    folded: bool = False
    reference: frozenset[int] = frozenset()  # positions of rows quoted from elsewhere


@dataclass
class Section:
    """A chapter of the report: what it shows, then its figures and tables.

    A figure the data cannot give is not left out in silence: `missing` says why it is not here.
    """

    title: str
    text: str
    figures: list[Picture] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)  # name, value: shown large
    missing: str = ""


def render_page(title: str, subtitle: str, sections: Sequence[Section], warnings: Sequence[str] = ()) -> str:
    """Return the whole page as HTML text; `warnings` stand at its head."""
    style = (resources.files("lesiongraph.figures") / "page.css").read_text()
    contents = "".join(
        f"<li{_class('empty', not _has_content(section))}>"
        f'<a href="#s{i}">{html.escape(section.title)}</a></li>'
        for i, section in enumerate(sections, start=1)
    )
    notes = "".join(f'<p class="warning">{html.escape(text)}</p>' for text in warnings)
    body = "".join(_section(i, section) for i, section in enumerate(sections, start=1))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>{html.escape(title)}</h1><p>{html.escape(subtitle)}</p>{notes}</header>"
        f'<div class="columns"><nav aria-label="Contents"><ol>{contents}</ol></nav>'
        f"<main>{body}</main></div></body></html>\n"
    )


def _section(number: int, section: Section) -> str:
    parts = [f'<section id="s{number}"><h2>{html.escape(section.title)}</h2>']
    parts += [f"<p>{html.escape(line)}</p>" for line in section.text.split("\n") if line]
    if section.facts:
        cards = "".join(
            f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
            for name, value in section.facts
        )
        parts.append(f'<dl class="facts">{cards}</dl>')
    if section.missing:
        parts.append(f'<p class="missing">Not shown: {html.escape(section.missing)}</p>')
    parts += [_table(table) for table in section.tables if not table.folded]
    parts += [_picture(picture) for picture in section.figures]
    parts += [_table(table) for table in section.tables if table.folded]
    parts.append("</section>")
    return "".join(parts)


def _picture(picture: Picture) -> str:
    # drawn at 150 dots an inch: the width keeps a small figure small
    width = round(picture.figure.get_size_inches()[0] * 100)
    source = to_data_uri(to_png(picture.figure))
    return (
        f'<figure><img width="{width}" alt="{html.escape(picture.alt or picture.caption)}" src="{source}">'
        f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{html.escape(str(name))}</th>' for name in table.rows.columns)
    body = "".join(
        f"<tr{_class('reference', i in table.reference)}>"
        + "".join(f"<td{_class('number', _is_number(v))}>{_cell(v)}</td>" for v in row)
        + "</tr>"
        for i, row in enumerate(table.rows.itertuples(index=False))
    )
    caption = html.escape(table.caption)
    rows = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    if table.folded:
        return f'<details><summary>{caption}</summary><div class="table">{rows}</div></details>'
    return f'<h3>{caption}</h3><div class="table">{rows}</div>'


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "–"
    return f"{value:.1f}" if isinstance(value, float) else html.escape(str(value))


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _class(name: str, wanted: bool) -> str:
    return f' class="{name}"' if wanted else ""


def _has_content(section: Section) -> bool:
    return bool(section.figures or section.tables or section.facts or not section.missing)
