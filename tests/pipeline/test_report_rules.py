"""The report's section on rejected marks: every rule counted, examples drawn, acceptance by hand seen."""

import pytest
from test_report import make_workspace

from lesiongraph.lesion import LESIONS
from lesiongraph.mining import rules
from lesiongraph.pipeline.catalogue import read_catalogue
from lesiongraph.pipeline.report_context import ReportContext
from lesiongraph.pipeline.report_marks import marks_on_slices, rejected_marks

REASONS = (
    "off the body",
    "axes lie apart",
    "impossible length (over 400 mm)",
    "duplicate of SR L-1",
    "single line",
)


@pytest.fixture
def context(tmp_path):
    workspace = make_workspace(tmp_path, stages=())
    table = read_catalogue(workspace).lesions
    kept = table[table.status == "kept"].reset_index(drop=True)
    for row, reason in enumerate(REASONS):
        kept.loc[row, ["status", "reason"]] = ["rejected", reason]
    kept.loc[10, "flags"] = f"{rules.NOT_CROSSING.flag};{rules.ACCEPTED_BY_HAND}"
    with workspace.lock(), workspace.write("catalogue", "d") as stage:
        stage.write_table("lesions", kept, LESIONS)
        catalogue = ReportContext(workspace, None, 0).catalogue
        for name in ("series", "landmarks"):
            frame = getattr(catalogue, name)
            stage.write_table(name, frame, dict(frame.dtypes.astype(str)))
        stage.take_file(catalogue.slices.path)
    return ReportContext(workspace, None, 0)


def test_every_rule_is_counted_and_shown(context):
    section = rejected_marks(context)
    table = section.tables[0].rows.set_index("rule")
    assert list(table.index) == [*(rule.name for rule in rules.RULES), "none"]
    apart = "axes that do not cross"
    shown = {"off the body", apart, "impossible length", "duplicate of another object", "none"}
    assert set(table.index[table.rejected > 0]) == shown
    assert table["remarked on"].to_dict() == {name: int(name == apart) for name in table.index}
    assert len(section.figures) == len(REASONS)
    assert ("accepted by hand", "1") in section.facts
    assert any(rules.OFF_BODY.explanation in picture.caption for picture in section.figures)


def test_a_mark_accepted_by_hand_says_so_in_its_picture(context):
    row = context.kept[context.kept["flags"] != ""].iloc[0]
    assert context.mark_on_slice(row, "").badge == "accepted by hand"
    axes = [axes for picture in marks_on_slices(context).figures for axes in picture.figure.axes]
    assert [text.get_text() for one in axes for text in one.texts].count("accepted by hand") == 1
