"""Where sentences and clauses end. A full stop after "Dr", "p.m" or "U.S" ends none."""

import re

_STOP = re.compile(r"[.!?;](?=[\s*_\"')]|$)|[。！？；]")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|St|Mt|Prof|Jr|Sr|No|Nr|vs|approx|ca|e\.g|i\.e|a\.m|p\.m|A\.M|P\.M)|\b[A-Z]\.[A-Z]|\b[A-Z])$"
)
_CLAUSE = re.compile(r"[,;:—–]\s|[，；：]|\n+|\s+(?:because|since|as|while|but|although)\s+", re.IGNORECASE)


def _ends(text: str) -> list[int]:
    """Offsets behind the stops that end a sentence."""
    ends = []
    for match in _STOP.finditer(text):
        before = text[: match.start()]
        if (
            match[0] == "."
            and _ABBREVIATION.search(before[-12:])
            and text[match.end() :].strip()
            and not _is_option(before)
        ):
            continue
        ends.append(match.end())
    return ends


def _is_option(before: str) -> bool:
    """Whether a single capital before a stop is an option at the end of its sentence, "… is B." and no initial."""
    return bool(re.search(r"(?:\bis|\bbe|\bpick|\bchoose|\boption|[:(])\s*[A-Z]$", before))


def first_sentence(text: str) -> str:
    """The text up to its first end of a sentence, without that stop."""
    ends = _ends(text)
    return text[: ends[0] - 1] if ends else text


def last_sentence(text: str) -> str:
    """The last sentence of a line, with its stop."""
    text = text.strip()
    ends = [end for end in _ends(text) if text[end:].strip(" *_\"')")]
    return text[ends[-1] :].strip() if ends else text


def clauses(text: str) -> list[str]:
    """The sentences of a text, cut again at commas, dashes and "because"."""
    parts, start = [], 0
    for end in [*_ends(text), len(text)]:
        parts += [part.strip() for part in _CLAUSE.split(text[start:end]) if part and part.strip()]
        start = end
    return parts


_BLANK_LINE = re.compile(r"\n\s*\n\s*")
_LINE = re.compile(r"\n+")
_REST_OF_LINE = re.compile(r"[*_\"')]*[ \t]*\n+")


def spread_ends(text: str, most: int) -> list[int]:
    """Offsets after which a part of a longer text ends, at most so many, spread evenly over them; the end of the text is the last.

    Parts are paragraphs where there are that many of them, else lines, else sentences.
    """
    ends: list[int] = []
    for part_ends in (_matches(_BLANK_LINE, text), _matches(_LINE, text), _sentence_or_line_ends(text)):
        ends = sorted({end for end in part_ends if text[:end].strip()} | {len(text)})
        if text[ends[-2] if len(ends) > 1 else 0 :].strip() == "" and len(ends) > 1:
            del ends[-2]  # only white space lies between it and the end
        if len(ends) >= most:
            break
    if len(ends) <= most:
        return ends
    if most == 1:
        return ends[-1:]
    return [ends[round(i * (len(ends) - 1) / (most - 1))] for i in range(most)]


def _matches(pattern: re.Pattern[str], text: str) -> list[int]:
    return [match.end() for match in pattern.finditer(text)]


def _sentence_or_line_ends(text: str) -> list[int]:
    """Ends of lines, and of sentences within them."""
    ends = []
    for end in _ends(text):
        rest = _REST_OF_LINE.match(text, end)
        ends.append(rest.end() if rest else end)
    return [*ends, *_matches(_LINE, text)]
