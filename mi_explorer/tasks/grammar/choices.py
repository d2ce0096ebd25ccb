"""Options of a multiple-choice question: which single letter an answer names."""

import re
import unicodedata

from mi_explorer.tasks.grammar.leads import without_lead
from mi_explorer.tasks.grammar.spelling import plain_words, unwrap

_LETTER = re.compile(r"(?<![\w'\\])([A-Za-z])(?![\w'])")
_NEGATION = re.compile(
    r"\b(?:not|none|neither|nor|never|cannot|can't|isn't|except|(?:all|anything|everything) but|rule out|ruled out)\b",
    re.IGNORECASE,
)
_ASIAN = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_BORDERS = re.compile(rf"(?<=[{_ASIAN}])(?=[A-Za-z])|(?<=[A-Za-z])(?=[{_ASIAN}])")
_REFUTED = re.compile(
    r"^\W*(?:option |choice )?[A-Z]\W{0,2}\s*(?:is|was|seems|looks)\s+(?:wrong|incorrect|false)\b", re.IGNORECASE
)
_ASIAN_NEGATION = re.compile(r"不|非|除|错|錯|排除|아니|ない|以外")
_LEAD = re.compile(
    r"^\W*(?:the\s+)?(?:(?:correct|right|best|final)\s+)?(?:option|choice|answer)\b(?:\s+is\b(?!n't))?\W*",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"\\(?:text|textbf|mathbf|mathrm|mbox|boxed|bf|rm)\s*\{([^{}]*)\}|\\(?:ensuremath|[ ,;!])|[*$]")


def plain_choice(text: str) -> str:
    """The text without markup; `\\textbf{(B)}\\ 24` is `(B) 24`. A letter beside Chinese signs stands apart: `故选 B`."""
    for _ in range(4):
        before, text = text, _MARKUP.sub(lambda m: m[1] or " ", unwrap(text))
        if text == before:
            break
    text = unicodedata.normalize("NFKC", text)
    return re.sub(r"\s+", " ", _BORDERS.sub(" ", text)).strip()


def option_letter(answer: str) -> str | None:
    """The letter that an answer names, A to Z; None where it names none, several, or says "not"."""
    plain = plain_choice(answer)
    text = without_lead(_LEAD.sub("", plain))
    if _NEGATION.search(text) or _ASIAN_NEGATION.search(text) or _REFUTED.search(text):
        return None
    if match := re.match(r"^[(\[{<]?([A-Za-z])(?:[)\]}>]\s*[.:,]?|[.:,])(?:\s|$)", text) or re.match(
        r"^([A-Za-z])$", text
    ):
        rest = text[match.end() :]
        # After a delimited letter comes the option's own text, which may hold single letters; another option does not.
        return (
            None
            if re.match(r"^(?:or|and|/|,|&|、)?\s*[(\[]?[A-Z][)\].:]*\s*$|^(?:or|and)\b", rest) and rest
            else match[1].upper()
        )
    letters = {m[1] for m in _LETTER.finditer(text) if m[1].isupper() and not _is_word(text, m)}
    return letters.pop() if len(letters) == 1 else None


def _is_word(text: str, match: re.Match[str]) -> bool:
    """Whether "A" or "I" is a word of the sentence and no option."""
    after = text[match.end() :]
    return (
        match[1] in "AI"
        and bool(re.match(r"\s+[a-z]", after))
        and not re.match(r"\s+(?:is|are|was|were|because|since|as|or|and)\b", after)
    )


def same_option(gold: str, answer: str) -> bool:
    """Whether an answer names the gold option, `B) the option` or a letter, by its letter or its whole text."""
    letter, _, option = gold.partition(")")
    letter = letter.strip(" (").upper()
    option = option.strip()
    if len(option) > 1 and plain_words(plain_choice(answer)) == plain_words(plain_choice(option)):
        return True  # "vitamin C" may be option B
    named = option_letter(answer)
    return named == letter if named is not None else bool(option) and plain_words(answer) == plain_words(option)
