import numpy as np
import pytest

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.difficulty import HARD
from lesiongraph.phantom.lesion_views import LesionView, sample_lesion_views


@pytest.fixture(scope="module")
def views() -> list[LesionView]:
    return list(sample_lesion_views(2, 5, rows=128))


def test_each_body_shows_nearly_every_type_once(views: list[LesionView]) -> None:
    for body in (0, 1):
        types = [view.type for view in views if view.body == body]
        assert len(types) == len(set(types))
        assert len(types) >= len(LESION_TYPES) - 2
    assert all(view.hu.shape == (3, 128, 128) for view in views)


def test_a_body_is_the_same_however_many_there_are(views: list[LesionView]) -> None:
    first = [view for view in views if view.body == 0]
    for one, other in zip(first, sample_lesion_views(1, 5, rows=128), strict=True):
        assert one.type == other.type
        assert one.mark == other.mark
        np.testing.assert_array_equal(one.hu, other.hu)


def test_the_mark_lies_on_the_body(views: list[LesionView]) -> None:
    on_body = 0
    for view in views:
        x, y = view.mark.bounding_box(0).centre
        row, column = round(y), round(x)
        if 0 <= row < 128 and 0 <= column < 128:
            on_body += view.hu[1, max(0, row - 2) : row + 3, max(0, column - 2) : column + 3].max() > -900
    assert on_body >= len(views) - 1


def test_a_hard_body_is_another_one(views: list[LesionView]) -> None:
    hard = next(iter(sample_lesion_views(1, 5, rows=128, difficulty=HARD)))
    assert not np.array_equal(hard.hu, views[0].hu)


@pytest.fixture(scope="module")
def revisited() -> list[LesionView]:
    return list(sample_lesion_views(1, 5, rows=128, visits=2, of_type=2, difficulty=HARD))


def test_a_lesion_shows_in_each_visit_another_way(revisited: list[LesionView]) -> None:
    seen: dict[int, list[LesionView]] = {}
    for view in revisited:
        seen.setdefault(view.lesion, []).append(view)
    pairs = [of_lesion for of_lesion in seen.values() if len(of_lesion) == 2]
    assert len(pairs) >= 2 * len(LESION_TYPES) - 4
    for first, second in pairs:
        assert (first.visit, second.visit, first.type) == (0, 1, second.type)
        assert not np.array_equal(first.hu, second.hu)


def test_the_first_lesions_are_the_same_however_many_follow(revisited: list[LesionView]) -> None:
    first = [view for view in revisited if view.visit == 0 and view.lesion <= len(LESION_TYPES)]
    for one, other in zip(first, sample_lesion_views(1, 5, rows=128, difficulty=HARD), strict=True):
        assert one.mark == other.mark
        np.testing.assert_array_equal(one.hu, other.hu)


def test_a_body_can_hold_several_lesions_of_a_type(revisited: list[LesionView]) -> None:
    numbers = {view.lesion for view in revisited if view.type == "liver"}
    liver = LESION_TYPES.index("liver") + 1
    assert numbers <= {liver, liver + len(LESION_TYPES)}
    assert max(view.lesion for view in revisited) > len(LESION_TYPES)


def test_bodies_can_be_shown_from_any_on() -> None:
    second = [view for view in sample_lesion_views(2, 5, rows=128, types=("lung", "bone")) if view.body == 1]
    alone = list(sample_lesion_views(1, 5, rows=128, types=("lung", "bone"), first_body=1))
    assert [view.mark for view in alone] == [view.mark for view in second]
    assert {view.body for view in alone} == {1}
