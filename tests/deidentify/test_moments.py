"""Dates and times: the days between two stay, the values do not; days are whole whatever the time."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesiongraph.mining.deidentify.moments import Shift
from lesiongraph.mining.deidentify.pseudonyms import (
    FURTHEST_SHIFT_DAYS,
    NEAREST_SHIFT_DAYS,
    Pseudonyms,
)

DATES = st.dates(min_value=dt.date(1950, 1, 1), max_value=dt.date(2100, 12, 31))
TIMES = st.times()
SHIFT = Shift(days=-4000, share=0.7, start_s=9000.0)


def text(day: dt.date) -> str:
    return day.strftime("%Y%m%d")


@given(DATES, DATES, st.text(min_size=1, max_size=12))
def test_days_between_two_dates_stay(first, second, patient):
    shift = Pseudonyms(b"secret" * 4).shift(patient)
    assert NEAREST_SHIFT_DAYS <= -shift.days <= FURTHEST_SHIFT_DAYS
    moved = [dt.datetime.strptime(shift.date(text(day)), "%Y%m%d").date() for day in (first, second)]
    assert moved[1] - moved[0] == second - first
    assert shift.back(shift.date(text(first))) == text(first)


@given(st.lists(TIMES, min_size=2, max_size=2, unique=True), st.text(max_size=8))
def test_order_of_times_within_a_day_stays(times, patient):
    shift = Pseudonyms(b"secret" * 4).shift(patient)
    early, late = sorted(times)
    a, b = (shift.time(t.strftime("%H%M%S.%f")) for t in (early, late))
    assert a <= b
    assert (a < b) or (
        late.hour * 3600 + late.minute * 60 + late.second
        == early.hour * 3600 + early.minute * 60 + early.second
    )


@given(DATES, TIMES)
def test_a_datetime_moves_to_the_day_its_date_moves_to(day, time):
    whole = text(day) + time.strftime("%H%M%S.%f")
    assert SHIFT.datetime(whole) == SHIFT.date(text(day)) + SHIFT.time(time.strftime("%H%M%S.%f"))


@pytest.mark.parametrize("value", ["2020.01.31", "2020-01-31", "20200131", " 20200131 ", "20200131\0"])
def test_ways_to_write_a_date(value):
    assert SHIFT.date(value) == "20090217"


@pytest.mark.parametrize(
    "value", ["", "Jan 2020", "20201301", "20200230", "2020", "00010101", "20200131-20200201"]
)
def test_what_is_no_date_is_not_kept(value):
    assert SHIFT.date(value) == ""


@pytest.mark.parametrize("value", ["", "noon", "2460", "120000 Uhr", "12345"])
def test_what_is_no_time_is_not_kept(value):
    assert SHIFT.time(value) == ""


@pytest.mark.parametrize(
    ("value", "kept"),
    [("12", "105400"), ("12:00:00", "105400"), ("120000.5", "105400.350000"), ("235960", "191800")],
)
def test_ways_to_write_a_time(value, kept):
    assert SHIFT.time(value) == kept


def test_a_zone_is_a_place_and_left_out():
    assert SHIFT.datetime("20200131120000+0130") == SHIFT.datetime("20200131120000")
    assert SHIFT.datetime("202001") == ""
