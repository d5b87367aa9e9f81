import numpy as np
import pytest

from lesiongraph.graph import ExclusiveLinkage, LesionCues, lesion_changes, match_by_cost

WHOLE = {"2020": (0.0, 1.0), "2021": (0.0, 1.0), "2022": (0.0, 1.0)}
LIMIT = 4.0


def changes(lesions, coverage=WHOLE, z_sd=None, **options):
    """`lesions`: (study, x, z, long_mm)."""
    studies = [study for study, *_ in lesions]
    cues = LesionCues(
        locations=[[x, 0.5, z] for _, x, z, _ in lesions],
        sizes_mm=[[long, long] for *_, long in lesions],
        z_sd=z_sd,
    )
    groups = match_by_cost(cues, ["p"] * len(lesions), studies, ExclusiveLinkage(), LIMIT).groups
    return {
        (c.lesion, c.other_study): (c.state, c.partners)
        for c in lesion_changes(cues, studies, groups, LIMIT, coverage, **options)
    }


def test_matched_new_and_gone() -> None:
    found = changes([("2020", 0.2, 0.5, 10), ("2020", 0.8, 0.5, 10), ("2021", 0.2, 0.5, 10),
                     ("2021", 0.5, 0.9, 10)])  # fmt: skip
    assert found == {
        (0, "2021"): ("matched", (2,)),
        (1, "2021"): ("gone", ()),
        (2, "2020"): ("matched", (0,)),
        (3, "2020"): ("new", ()),
    }


def test_what_the_other_study_cannot_show_is_neither_new_nor_gone() -> None:
    lesions = [("2020", 0.2, 0.5, 10), ("2021", 0.8, 0.9, 10)]
    coverage = {"2020": (0.3, 0.7), "2021": (0.8, 1.0)}
    assert {state for state, _ in changes(lesions, coverage).values()} == {"not covered"}
    assert {state for state, _ in changes(lesions, {}).values()} == {"not covered"}
    unknown = [("2020", 0.2, np.nan, 10), ("2021", 0.8, 0.9, 10)]
    assert changes(unknown)[0, "2021"] == ("not covered", ())


def test_the_error_of_z_is_left_at_the_edge_of_the_view() -> None:
    lesions, coverage = [("2020", 0.2, 0.5, 10), ("2021", 0.8, 0.4, 10)], WHOLE | {"2021": (0.3, 0.51)}
    assert changes(lesions, coverage)[0, "2021"] == ("gone", ())
    assert changes(lesions, coverage, z_sd=[0.02, 0.02])[0, "2021"] == ("not covered", ())


def test_two_lesions_that_became_one_are_merged_and_the_reverse_is_split() -> None:
    small = [(0.50, 0.5, 12), (0.53, 0.5, 12)]
    merged = changes([("2020", *small[0]), ("2020", *small[1]), ("2021", 0.52, 0.5, 20)])
    assert merged == {
        (0, "2021"): ("merged", (2,)),
        (1, "2021"): ("merged", (2,)),
        (2, "2020"): ("merged", (0, 1)),
    }
    split = changes([("2020", 0.52, 0.5, 20), ("2021", *small[0]), ("2021", *small[1])])
    assert split == {
        (0, "2021"): ("split", (1, 2)),
        (1, "2020"): ("split", (0,)),
        (2, "2020"): ("split", (0,)),
    }


def test_what_flowed_together_is_not_smaller_than_its_parts() -> None:
    found = changes([("2020", 0.50, 0.5, 12), ("2020", 0.53, 0.5, 12), ("2021", 0.52, 0.5, 9)])
    assert sorted(state for state, _ in found.values()) == ["gone", "matched", "matched"]


def test_a_far_lesion_does_not_merge() -> None:
    found = changes([("2020", 0.50, 0.5, 12), ("2020", 0.9, 0.5, 12), ("2021", 0.50, 0.5, 20)])
    assert found[1, "2021"] == ("gone", ())


def test_neighbours_in_time_or_all_pairs() -> None:
    lesions = [("2022", 0.2, 0.5, 10), ("2020", 0.2, 0.5, 10), ("2021", 0.2, 0.5, 10)]
    assert set(changes(lesions)) == {(1, "2021"), (2, "2020"), (2, "2022"), (0, "2021")}
    assert len(changes(lesions, consecutive=False)) == 6


def test_no_lesion_one_study_and_wrong_lengths() -> None:
    assert lesion_changes(LesionCues(locations=np.empty((0, 3))), [], [], LIMIT, WHOLE) == []
    assert changes([("2020", 0.2, 0.5, 10)]) == {}
    with pytest.raises(ValueError, match="equal lengths"):
        lesion_changes(LesionCues(locations=np.zeros((1, 3))), ["a"], [0, 1], LIMIT, WHOLE)


def test_a_lesion_marked_before_and_after_is_unmarked_between() -> None:
    found = changes([("2020", 0.2, 0.5, 10), ("2021", 0.8, 0.5, 10), ("2022", 0.2, 0.5, 10)])
    assert found[0, "2021"] == ("unmarked", ())  # not gone
    assert found[2, "2021"] == ("unmarked", ())  # not new
    assert found[1, "2020"] == ("new", ())
    assert found[1, "2022"] == ("gone", ())


def test_a_study_in_two_pieces_shows_nothing_between_them() -> None:
    lesions = [("2020", 0.2, z, 10) for z in (0.2, 0.5, 0.8)] + [("2021", 0.9, 0.2, 10)]
    found = changes(lesions, WHOLE | {"2021": [(0.1, 0.3), (0.9, 0.7)]})
    states = [found[k, "2021"][0] for k in range(3)]
    assert states == ["gone", "not covered", "gone"]
