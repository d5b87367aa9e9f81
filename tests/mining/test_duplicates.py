"""One measurement in two objects: one mark stands, whatever the order; two readers' marks both stand."""

import pandas as pd
import pytest
from dicom_files import annotation, bidirectional, gsps, line, save, sr_document, uid, volume

from lesiongraph.lesion import LESIONS, conform
from lesiongraph.mining import reject_duplicates
from lesiongraph.mining.rules import ACCEPTED_BY_HAND
from lesiongraph.pipeline.catalogue import catalogue_table
from lesiongraph.pipeline.mine import mine
from lesiongraph.workspace import Workspace

AXES = ("long_x0", "long_y0", "long_x1", "long_y1", "short_x0", "short_y0", "short_x1", "short_y1")
MARK = (100, 100, 120, 100, 110, 95, 110, 105)
REVERSED = (120, 100, 100, 100, 110, 105, 110, 95)


def row(name: str, source: str, mark=MARK, shift: float = 0.0, **changes) -> dict:
    return {
        "lesion_id": name, "source": source, "source_path": f"/{name}", "status": "kept", "slice_index": 3,
        "series_instance_uid": "s", "sop_instance_uid": "i",
        **dict(zip(AXES, (v + shift for v in mark), strict=True)), **changes,
    }  # fmt: skip


def judged(*rows: dict) -> dict[str, str]:
    table = reject_duplicates(conform(pd.DataFrame(list(rows)), LESIONS))
    assert (table.status == "rejected").tolist() == (table.reason != "").tolist()
    return dict(zip(table.lesion_id, table.reason, strict=True))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_sr_stands_before_gsps_before_seg(order):
    rows = [row("a", "SEG", shift=0.2), row("b", "GSPS", REVERSED, shift=0.5), row("c", "SR")]
    said = judged(*(rows[i] for i in order))
    assert said == {"a": "duplicate of SR c", "b": "duplicate of SR c", "c": ""}


@pytest.mark.parametrize(
    ("other", "is_duplicate"),
    [
        (row("b", "GSPS", shift=0.7), True),
        (row("b", "GSPS", shift=0.8), False),  # 1.13 px
        (row("b", "GSPS", MARK[4:] + MARK[:4]), True),  # the axes exchanged: as long as each other
        (row("b", "SR"), True),  # sent twice under two UIDs
        (row("b", "SR", shift=0.3), False),  # a second reader
        (row("b", "SR", source_path="/a"), False),  # one object says it twice: two groups
        (row("b", "GSPS", slice_index=4), False),
        (row("b", "GSPS", sop_instance_uid="j"), False),
        (row("b", "GSPS", shift=0.3, tracking_uid="2"), False),  # told apart by their writers
        (row("b", "GSPS", tracking_uid="2"), True),  # but no two hands draw to the digit
        (row("b", "GSPS", flags=f"axes swapped;{ACCEPTED_BY_HAND}"), False),
    ],
)
def test_what_is_a_duplicate(other, is_duplicate):
    said = judged(row("a", "SR", tracking_uid="1"), other)
    assert (said["a"], said["b"]) == ("", "duplicate of SR a" if is_duplicate else "")


def test_two_segmentations_of_two_readers_stand():
    rows = [row("a", "SEG", tracking_uid="1"), row("b", "SEG", tracking_uid="2")]
    assert set(judged(*rows).values()) == {""}
    rows[1]["tracking_uid"] = "1"
    assert judged(*rows)["b"] == "duplicate of SEG a"


def test_a_duplicate_stands_again_when_its_other_is_rejected():
    other = row("a", "SR", status="rejected", reason="off the body")
    again = row("b", "GSPS", status="rejected", reason="duplicate of SR a")
    assert judged(other, again) == {"a": "off the body", "b": ""}


def test_thousands_of_marks_on_one_image():
    rows = [
        row(f"{kind}{i:05d}", kind, source_path=f"/{kind}") for kind in ("SR", "GSPS") for i in range(2000)
    ]
    said = judged(*rows)
    assert sum(reason != "" for reason in said.values()) == 2000


@pytest.mark.parametrize("order", [("gsps", "sr"), ("sr", "gsps"), ("sr gsps",)])
def test_the_order_of_runs_does_not_matter(tmp_path, order):
    uids = volume(tmp_path / "ct")
    long, short = (10.5, 10.5, 30.5, 10.5), (20.5, 5.5, 20.5, 15.5)
    save(sr_document([bidirectional(uids[0], long, short)], name=uid("sr")), tmp_path / "sr" / "a")
    state = gsps([annotation([uids[0]], [line(long), line(short)])], [uids[0]])
    save(state, tmp_path / "gsps" / "b")
    workspace = Workspace(tmp_path / "w")
    for parts in [*order, *order]:
        report = mine(workspace, [tmp_path / "ct", *(tmp_path / part for part in parts.split())])
    table = catalogue_table(workspace).set_index("source")
    assert table.status.to_dict() == {"SR": "kept", "GSPS": "rejected"}
    assert table.reason["GSPS"] == f"duplicate of SR {table.lesion_id['SR']}"
    if "gsps" in order[-1]:
        assert report.rejected == {"duplicate of another object": 1}
        assert report.counts["rejected by rule: duplicate of another object"] == 1
    assert report.already_done
