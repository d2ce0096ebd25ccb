"""Dates: `June 5`, `5th of June 2020`, `2020-06-05`. Numbers alone with slashes are none: their order differs by country."""

import re
from dataclasses import dataclass

MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_MONTH = r"(?P<month>jan|feb|mar|apr|may|jun|jul|aug|sept?|oct|nov|dec|" + "|".join(MONTHS) + r")\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_WEEKDAY = r"(?:(?:on\s+)?(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?"
_FORMS = [
    re.compile(rf"^{_WEEKDAY}{_MONTH}\s+{_DAY}(?:(?:,\s*|\s+)(?P<year>\d{{4}}))?$", re.IGNORECASE),
    re.compile(rf"^{_WEEKDAY}(?:the\s+)?{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s+(?P<year>\d{{4}}))?$", re.IGNORECASE),
    re.compile(r"^(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})$"),
]


@dataclass(frozen=True)
class Date:
    """A day of a year; `year` is None where none is named."""

    month: int
    day: int
    year: int | None = None


def date_of(text: str) -> Date | None:
    """The date that a text is."""
    for form in _FORMS:
        if match := form.match(text.strip()):
            name = match["month"].lower()
            month = int(name) if name.isdigit() else [m[:3] for m in MONTHS].index(name[:3]) + 1
            day = int(match["day"])
            if 1 <= month <= 12 and 1 <= day <= 31:
                return Date(month, day, int(match["year"]) if match["year"] else None)
    return None


def same_date(gold: Date, answer: Date) -> bool:
    """Equal dates; a gold answer without a year is met by any year."""
    return (gold.month, gold.day) == (answer.month, answer.day) and gold.year in (None, answer.year)
