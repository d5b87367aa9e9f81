"""The page: everything escaped, nothing outside the file, what is missing said in its place."""

import re

import pandas as pd
from matplotlib.figure import Figure

from lesiongraph.figures import Picture, Section, Table, render_page

EVIL = '<script>alert("x")</script>'


def _page(*sections: Section, warnings: tuple[str, ...] = ()) -> str:
    return render_page("Title", "Subtitle", sections, warnings)


def _figure() -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_text_from_data_is_escaped_everywhere() -> None:
    rows = pd.DataFrame({EVIL: [EVIL]})
    section = Section(
        EVIL, EVIL, [Picture(EVIL, _figure(), EVIL)], [Table(EVIL, rows), Table(EVIL, rows, folded=True)],
        facts=[(EVIL, EVIL)], missing=EVIL,
    )  # fmt: skip
    page = render_page(EVIL, EVIL, [section], [EVIL])
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 14


def test_nothing_outside_the_file_is_referred_to() -> None:
    page = _page(Section("a", "b", [Picture("c", _figure())]))
    assert not re.search(r"https?://", page)
    references = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert references
    assert all(reference.startswith(("#", "data:image/png")) for reference in references)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_every_picture_has_a_text_for_those_who_cannot_see_it() -> None:
    page = _page(Section("a", "b", [Picture("caption", _figure(), "in words"), Picture("c2", _figure())]))
    assert re.findall(r'<img [^>]*alt="([^"]*)"', page) == ["in words", "c2"]
    assert "<figcaption>caption</figcaption>" in page


def test_missing_and_warnings_are_said() -> None:
    page = _page(Section("Figure", "", missing="run match first"), warnings=("Phantoms only.",))
    assert "Not shown: run match first" in page
    assert '<p class="warning">Phantoms only.</p>' in page


def test_contents_lead_to_each_section() -> None:
    page = _page(Section("first", ""), Section("second", "", missing="x"))
    targets = re.findall(r'href="#(\w+)"', page)
    assert targets == re.findall(r'<section id="(\w+)"', page)
    assert len(targets) == 2


def test_reference_rows_are_marked_and_numbers_shown_with_one_place() -> None:
    rows = pd.DataFrame({"feature": ["ours", "paper"], "score": [12.345, None], "n": [7, 4927]})
    page = _page(Section("t", "", tables=[Table("Scores", rows, reference=frozenset({1}))]))
    assert page.count('<tr class="reference">') == 1
    assert '<td class="number">12.3</td>' in page
    assert '<td class="number">–</td>' in page
