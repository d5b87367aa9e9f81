"""Dates and times of one patient, moved so that the days between them stay (PS3.15 E.3.6, modified dates).

Dates move by whole days: two dates keep their distance whether or not a time of day stands beside them
(dicognito moves by hours, so that of two objects of a study the one without a time lands a day away).
Times of day are squeezed into a part of the day: their order stays, their value does not.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

_DAY_S = 86_400
_DATE = re.compile(r"(\d{4})([.\-]?)(\d{2})\2(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?")
_DATETIME = re.compile(r"(\d{8})(\d{2,6}(?:\.\d{1,6})?)?(?:[+-]\d{4})?")


@dataclass(frozen=True)
class Shift:
    """How one patient's dates and times are changed.

    Attributes
    ----------
    days : int
        Added to every date; negative.
    share, start_s : float
        A time of day t (s) becomes ``start_s + share · t``, which lies within the same day.
    """

    days: int
    share: float
    start_s: float

    def date(self, original: str) -> str:
        """Return the moved date as YYYYMMDD, "" where `original` is no date."""
        match = _DATE.fullmatch(original.strip(" \0"))
        if match is None:
            return ""
        try:
            moved = dt.date(int(match[1]), int(match[3]), int(match[4])) + dt.timedelta(days=self.days)
        except (ValueError, OverflowError):  # no such day, or before the year 1
            return ""
        return moved.strftime("%Y%m%d").zfill(8)

    def time(self, original: str) -> str:
        """Return the squeezed time of day as HHMMSS[.FFFFFF], "" where `original` is no time."""
        match = _TIME.fullmatch(original.strip(" \0"))
        if match is None or int(match[1]) > 23 or int(match[2] or 0) > 59 or int(match[3] or 0) > 60:
            return ""
        seconds = 3600 * int(match[1]) + 60 * int(match[2] or 0) + int(match[3] or 0) + float(match[4] or 0)
        moved_us = min(round(1e6 * (self.start_s + self.share * seconds)), 1_000_000 * _DAY_S - 1)
        whole, fraction_us = divmod(moved_us, 1_000_000)
        clock = f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}"
        return f"{clock}.{fraction_us:06d}" if match[4] else clock

    def datetime(self, original: str) -> str:
        """Return the moved date and time, "" where `original` is none; a zone is left out: it is a place."""
        match = _DATETIME.fullmatch(original.strip(" \0"))
        if match is None or not (date := self.date(match[1])):
            return ""
        if match[2] is None:
            return date
        time = self.time(match[2])
        return date + time if time else ""

    def back(self, moved: str) -> str:
        """Return the original of a moved date, as YYYYMMDD; "" where `moved` is no date."""
        return Shift(-self.days, 1.0, 0.0).date(moved)
