"""Splits and subsets: the paper's protocol, and no patient in two of them."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from lesiongraph.lesion import LESIONS, conform
from lesiongraph.mining.subsets import assign_subsets


def lesions(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["patient_id", "source", "split", "type"]).assign(status="kept")
    return conform(frame, LESIONS)


def test_official_splits_follow_the_protocol():
    rows = [(f"{i:06d}", "DeepLesion", ("train", "val", "test")[i % 3], "lung") for i in range(60)]
    dealt = assign_subsets(lesions(*rows))
    counts = dealt.groupby(["split", "subset"]).size().to_dict()
    assert counts == {
        ("train", "pool"): 20,
        ("val", "seed"): 10,
        ("val", "validation"): 10,
        ("test", "test"): 20,
    }
    assert dealt["split"].tolist() == [row[2] for row in rows]


def test_other_sources_are_dealt_by_patient():
    rows = [(f"P{i}", "SR", "", "liver" if i < 40 else "") for i in range(50)]
    counts = assign_subsets(lesions(*rows))["subset"].value_counts().to_dict()
    assert counts == {"seed": 10, "validation": 10, "test": 20, "pool": 10}


def test_rejected_marks_do_not_make_a_patient_typed():
    frame = lesions(("P1", "SR", "", "liver")).assign(status="rejected")
    assert assign_subsets(frame)["subset"].tolist() == ["pool"]


def test_empty_catalogue():
    assert assign_subsets(lesions()).empty


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([f"P{i}" for i in range(12)]),
            st.sampled_from(["DeepLesion", "SR", "SEG"]),
            st.sampled_from(["train", "val", "test", ""]),
            st.sampled_from(["", "lung"]),
        ),
        min_size=1,
        max_size=40,
    ),
    st.randoms(use_true_random=False),
)
def test_no_patient_in_two_subsets_whatever_the_order(rows, random):
    frame = lesions(*rows)
    dealt = assign_subsets(frame)
    assert (dealt.groupby("patient_id")["subset"].nunique() == 1).all()
    assert set(dealt["subset"]) <= {"pool", "seed", "validation", "test"}
    order = list(frame.index)
    random.shuffle(order)
    pd.testing.assert_frame_equal(assign_subsets(frame.loc[order]).sort_index(), dealt)
    pd.testing.assert_frame_equal(assign_subsets(dealt), dealt)
