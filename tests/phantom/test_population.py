"""The plan of a hospital follows DeepLesion's figures and depends on the seed and the index alone."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from lesiongraph.lesion import LESION_TYPES
from lesiongraph.phantom.population import (
    LONG_AXIS_BY_TYPE,
    LONG_AXIS_RANGE_MM,
    TYPE_FRACTIONS,
    LesionCourse,
    PatientPlan,
    draw_long_axis_mm,
    plan_patient,
)


@pytest.fixture(scope="module")
def plans() -> list[PatientPlan]:
    return [plan_patient(index, 7) for index in range(3000)]


def test_every_type_has_a_fraction_and_a_size() -> None:
    assert tuple(TYPE_FRACTIONS) == LESION_TYPES == tuple(LONG_AXIS_BY_TYPE)
    assert sum(TYPE_FRACTIONS.values()) == pytest.approx(1, abs=1e-3)


def test_types_are_distributed_as_in_deeplesion(plans: list[PatientPlan]) -> None:
    counts = Counter(lesion.type for plan in plans for lesion in plan.lesions)
    for lesion_type, fraction in TYPE_FRACTIONS.items():
        assert counts[lesion_type] / counts.total() == pytest.approx(fraction, abs=0.02)


@pytest.mark.parametrize("seed", range(20))
def test_a_small_hospital_holds_the_common_types_and_a_usual_number_of_studies(seed: int) -> None:
    small = [plan_patient(index, seed) for index in range(30)]
    counts = Counter(lesion.type for plan in small for lesion in plan.lesions)
    assert {name for name, share in TYPE_FRACTIONS.items() if share > 0.08} <= set(counts)
    assert 0.3 < counts["lung"] / counts.total() < 0.58
    assert 60 <= sum(len(plan.visits) for plan in small) <= 85


def test_lesions_of_one_patient_share_their_type_as_often(plans: list[PatientPlan]) -> None:
    pairs = [a.type == b.type for plan in plans for a, b in combinations(plan.lesions, 2)]
    assert np.mean(pairs) == pytest.approx(0.585, abs=0.03)


def test_sizes_have_deeplesion_s_median_and_tail() -> None:
    rng = np.random.default_rng(0)
    types = rng.choice(LESION_TYPES, 20000, p=np.array(list(TYPE_FRACTIONS.values())) / 1.0)
    sizes = np.array([draw_long_axis_mm(lesion_type, rng) for lesion_type in types])
    assert np.median(sizes) == pytest.approx(15.6, abs=0.5)
    # 5th, 95th and 99th percentile of the typed rows: 4.2, 49.7 and 82.1 mm.
    assert np.percentile(sizes, [5, 95, 99]) == pytest.approx([4.2, 49.7, 82.1], rel=0.2)
    assert sizes.min() >= LONG_AXIS_RANGE_MM[0]
    assert sizes.max() <= LONG_AXIS_RANGE_MM[1]


def test_studies_are_one_to_eleven_with_deeplesion_s_mean(plans: list[PatientPlan]) -> None:
    counts = [len(plan.visits) for plan in plans]
    assert (min(counts), max(counts)) == (1, 11)
    assert np.mean(counts) == pytest.approx(2.4, abs=0.15)


def test_two_series_gsps_and_labels_have_their_shares(plans: list[PatientPlan]) -> None:
    visits = [visit for plan in plans for visit in plan.visits]
    assert np.mean([visit.series == 2 for visit in visits]) == pytest.approx(0.15, abs=0.02)
    assert np.mean([visit.report_kind == "GSPS" for visit in visits]) == pytest.approx(0.2, abs=0.03)
    assert sum(plan.labelled for plan in plans) == round(0.6 * len(plans))


def test_lesions_appear_grow_shrink_and_vanish(plans: list[PatientPlan]) -> None:
    followed = [plan for plan in plans if len(plan.visits) >= 4]
    courses = [(plan, lesion) for plan in followed for lesion in plan.lesions]
    assert any(lesion.first_study > 1 for _, lesion in courses)
    assert any(lesion.last_study < len(plan.visits) for plan, lesion in courses)
    factors = [lesion.factor(plan.visits[-1], plan.visits[0]) for plan, lesion in courses]
    known = np.array([factor for factor in factors if factor is not None])
    assert (known < 0.8).any()
    assert (known > 1.2).any()


def test_a_lesion_is_absent_outside_its_studies(plans: list[PatientPlan]) -> None:
    visits = next(plan for plan in plans if len(plan.visits) == 4).visits
    course = LesionCourse(1, "lung", 10.0, 2, 3, 0.0, 1.0)
    assert [course.factor(visit, visits[1]) for visit in visits] == [None, 1.0, 1.0, None]


def test_a_lesion_that_shrank_below_three_mm_is_gone(plans: list[PatientPlan]) -> None:
    visits = next(plan for plan in plans if len(plan.visits) == 4).visits
    course = LesionCourse(1, "lung", 4.0, 1, 4, -0.5, 1.0)
    factors = [course.factor(visit, visits[0]) for visit in visits]
    assert factors[0] == 1.0
    assert factors[-1] is None


def test_the_plan_depends_on_seed_and_index_alone() -> None:
    assert plan_patient(4, 9) == plan_patient(4, 9)
    assert plan_patient(4, 9) != plan_patient(4, 10)
    assert plan_patient(4, 9) != plan_patient(5, 9)
