"""Times of day: `3:45 pm`, `15:45`, `7 p.m.`, `noon`."""

import re
from dataclasses import dataclass, field

_CLOCK = re.compile(
    r"^(?:at\s+)?(\d{1,2})(?::([0-5]\d)(?::([0-5]\d))?)?\s*(?:\\text\s*\{)?\s*(a\.?\s?m\.?|p\.?\s?m\.?|noon|midnight|o'clock|uhr|hours"
    r"|in the (?:morning|afternoon|evening)|at night)?\s*\}?$",
    re.IGNORECASE,
)

_HALVES = {
    "am": "am", "pm": "pm", "noon": "noon", "midnight": "midnight", "inthemorning": "am", "intheafternoon": "pm",
    "intheevening": "pm", "atnight": "pm",
}  # fmt: skip


@dataclass(frozen=True)
class Time:
    """Seconds since midnight, and how the half of the day is told: "half" (am, pm, noon), "hour" (13 and more, 0) or "".

    `parts` are the numbers of a bare `5:12`, which may be a ratio; () where the half of the day is named.
    """

    seconds: int
    told_by: str
    parts: tuple[int, ...] = field(default=(), compare=False)


def time_of(text: str) -> Time | None:
    """The time of day that a text is; a bare `12` or `3:4` is none."""
    text = text.replace("\\,", " ").replace("~", " ").replace("\\text{:}", ":").replace("{:}", ":").strip().rstrip(".")
    if text.lower() in ("noon", "midnight"):
        return Time(43_200 if text.lower() == "noon" else 0, "half")
    match = _CLOCK.match(text)
    if match is None or (match[2] is None and (match[4] or "hours").lower() == "hours"):
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    half = _HALVES.get(re.sub(r"[.\s]", "", (match[4] or "").lower()), "")
    if hour > 24 or half in ("am", "pm") and not 1 <= hour <= 23:
        return None
    if half in ("pm", "noon") and hour < 12:
        hour += 12
    elif half in ("am", "midnight") and hour == 12:
        hour = 0
    return Time(
        hour * 3600 + minute * 60 + second,
        "half" if half else "hour" if hour > 12 or hour == 0 or match[1].startswith("0") else "",
        () if match[4] else tuple(int(part) for part in match.groups()[:3] if part),
    )


def same_time(gold: Time, answer: Time) -> bool:
    """Equal times; a gold answer that leaves the half of the day open is met by am and pm alike."""
    if gold.told_by:
        morning = gold.told_by == "hour" and gold.seconds < 43_200  # 09:05 may be written 9:05
        return gold.seconds == answer.seconds and (bool(answer.told_by) or morning)
    if answer.told_by == "half":
        return gold.seconds % 43_200 == answer.seconds % 43_200
    return gold.seconds == answer.seconds
