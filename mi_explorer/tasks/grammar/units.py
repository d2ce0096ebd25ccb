"""Words beside a number: units, currencies and names are set aside; magnitudes multiply; all else forbids a number."""

import re
from fractions import Fraction

from mi_explorer.tasks.grammar.expression import FUNCTION_NAMES, NotInGrammar

MAGNITUDES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12, "lakh": 10**5,
    "crore": 10**7, "k": 10**3, "mn": 10**6, "bn": 10**9,
}  # fmt: skip
# Each unit under one name; what is not here is a name ("apples") and says nothing about the value.
_UNITS = {
    "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "m": "m meter metre", "km": "km kilometer kilometre",
    "in": "in inch inche", "ft": "ft foot feet", "yd": "yd yard", "mi": "mi mile", "mg": "mg milligram", "g": "g gram",
    "kg": "kg kilogram", "lb": "lb pound", "oz": "oz ounce", "l": "l L liter litre", "ml": "ml mL milliliter millilitre",
    "gal": "gal gallon", "s": "s sec second", "min": "min minute", "h": "h hr hour", "day": "day", "week": "week", "month": "month",
    "year": "year yr", "km/h": "km/h kph kmh kmph", "mph": "mph mi/h", "m/s": "m/s", "deg": "degree deg °C °F",
    "%": "% percent percentage", "$": "$ dollar usd buck", "cent": "cent ¢", "€": "€ euro eur", "£": "£ gbp",
    "¥": "¥ yen yuan jpy cny", "unit": "unit", "J": "J joule", "N": "N newton", "W": "W watt", "V": "V volt", "A": "A amp ampere",
    "Hz": "Hz hertz", "Pa": "Pa pascal", "mol": "mol mole", "rad": "rad radian",
}  # fmt: skip
UNITS = {name: unit for unit, names in _UNITS.items() for name in names.split()}
SINGLE = frozenset(n for n in UNITS if len(n) == 1 and n.isalpha())
FORBIDDEN = frozenset(["not", "no", "never", "neither", "nor", "none", "non", "isn't", "isnt", "aren't", "wasn't", "cannot", "can't", "except", "without", "unlike", "other", "minus", "plus", "negative", "positive", "least", "most", "than", "more", "less", "fewer", "over", "under", "above", "below", "between", "beyond", "exceed", "exceeds", "exceeding", "up", "maximum", "minimum", "max", "min", "within", "or", "either", "both", "any", "every", "all", "each", "times", "divided", "multiplied", "squared", "cubed", "square-root", "root", "cube", "half", "twice", "double", "triple", "quadruple", "third", "quarter", "choose", "mod", "modulo", "power", "factorial", "point", "remainder", "ratio", "if", "unless", "only", "wrong", "incorrect", "false", "undefined", "variable", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundreds", "thousands", "millions", "dozens", "and", "versus", "vs", "to", "through", "but", "anything", "nothing", "everything", "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])  # fmt: skip
MAX_WORDS = 8
_CURRENCY_BEFORE = re.compile(
    r"^([-+]?)\s*(?:(US|USD|CAD|AUD|EUR|GBP|Rs\.?|INR|U\.S\.|HK)\s*)?(?:\\?([$€£¥])|(?<=[A-Z.])\s)\s*(?=[-+.\d{\\(])"
    r"|^([-+]?)\s*(USD|EUR|GBP|Rs\.?|INR|CAD|AUD)\s+(?=[-+.\d])|^([-+]?)\s*U\.?\s?S\.?\s+(?=[\d.])"
)
_TEXT = r"\\(?:text|mathrm|mbox|textrm|textbf|mathbf|rm|operatorname|textit)\s*\{([^{}]*)\}"
_TEXT_AFTER = re.compile(
    rf"^(.*?[\d)}}\]!%½])\s*((?:{_TEXT}(?:\s*\^\s*(?:\{{-?\d+\}}|-?\d))?|[\s/.·*]|\\cdot|\\(?=\s))+)$", re.DOTALL
)
_DEGREES = re.compile(r"\s*(?:\^\s*(?:\{\s*)?(?:\\circ|\\degree|o)(?:\s*\})?|\\circ|\\degree|\\degrees)\s*([CF])?$")
_SIGN_WORD = re.compile(r"^(?:minus|negative)\s+(?=[\d.\\(])", re.IGNORECASE)


def split_unit(text: str) -> tuple[str, str, Fraction]:
    """(the expression without its words, the unit or "", a factor such as a million); raises `NotInGrammar`."""
    text = text.strip()
    unit, factor = "", Fraction(1)
    text = _SIGN_WORD.sub("-", text)
    if match := _CURRENCY_BEFORE.match(text):
        text = (match[1] or match[4] or match[6] or "") + text[match.end() :]
        unit = UNITS.get(match[3] or "$", "$")
    if match := _DEGREES.search(text):
        text, unit = text[: match.start()].strip(), "deg"
    if match := re.search(r"\s*\\?%$", text):
        text, unit = text[: match.start()].strip(), "%"
    if match := re.search(r"\s*\\?([$€£¢])$", text):
        text, unit = text[: match.start()].strip(), unit or UNITS[match[1]]
    if (match := _TEXT_AFTER.match(text)) and "{" in match[2] and not re.fullmatch(r".*\{\s*[eid]\s*\}.*", match[2]):
        after = re.sub(_TEXT, lambda m: f" {m[1]} ", match[2])
        found, factor = _read_words(after.replace("\\cdot", " ").replace("{", "").replace("}", ""), True)
        return match[1].strip(), unit or found, factor
    core, before, after = _split_words(text)
    if before or after:
        _read_words(before, False)
        found, factor = _read_words(after, text[: len(text) - len(after)].endswith(" "))
        unit = unit or found
    return core, unit, factor


def _split_words(text: str) -> tuple[str, str, str]:
    """(core, words before, words after) of a text with prose around its one number; (text, "", "") for a plain expression."""
    if not re.search(r"[^\W\d_]{2,}|\d\s*[^\W\d_]", text):
        return text, "", ""
    numbers = [
        m for m in re.finditer(r"(?<![A-Za-z_\\{])[-+]?\s?\\?[$€£¥]?\d[\d.]*(?:\s+\d+/\d+|/\d+)?(?:e[-+]?\d+)?!?", text)
    ]
    if len(numbers) != 1:
        exact = re.fullmatch(r"(.*[\d)}\]!])\s+([^\W\d_][^\d\\]*?(?:\^\{?\d\}?)?)", text, re.DOTALL)
        if exact and _known_unit(exact[2]):
            return exact[1], "", exact[2]
        unit_power = re.fullmatch(
            r"([-+]?[\d.]+(?:\s+\d+/\d+|/\d+)?)\s*([a-zA-Z.]+(?:/[a-zA-Z]+)?\s*\^?\s*\{?\d\}?)", text
        )
        if unit_power and _known_unit(unit_power[2]):
            return unit_power[1], "", unit_power[2]
        return text, "", ""
    number = numbers[0]
    before, after = text[: number.start()].strip(), text[number.end() :]
    marks = before + (re.sub(r"\^|\{(?=\d)|(?<=\d)\}", "", after) if _known_unit(after) else after)
    if re.search(r"[\\^_=<>{}()\[\]|]", marks):
        return text, "", ""
    words = re.findall(r"[^\W\d_]+", before + " " + after)
    if not words or any(w.lower() in FUNCTION_NAMES | {"pi", "infinity", "infty"} for w in words):
        return text, "", ""
    attached = after[:1].isalpha()
    if attached and not (_known_unit(after) and len(after.strip()) > 1) and after.strip().lower() not in MAGNITUDES:
        return text, "", ""
    if all(len(w) == 1 for w in words) and not _known_unit(after):
        return text, "", ""
    if re.match(r"\s*[-+*/!]", after) and not re.match(r"\s*/\s*[a-z]", after):
        return text, "", ""
    return number[0].replace("$", "").replace("\\", "").strip(), before, after


def _known_unit(text: str) -> bool:
    words = re.findall(r"[^\W\d_%°]+|[%°$]", text)
    if re.sub(r"[^\W\d_%°]+|[%°$/.\s*]|\^?\{?-?[123]\}?", "", text):
        return False
    return bool(words) and all(_unit(w) is not None or w in ("per", "sq", "square", "cubic", "cu") for w in words)


def _unit(word: str) -> str | None:
    """The one name of a unit, from any of its spellings."""
    for form in (word, word.lower(), word.lower().rstrip("s"), word.lower().removesuffix("es")):
        if form in UNITS and (len(form) > 1 or form == word):
            return UNITS[form]
    return None


def _read_words(text: str, spaced: bool) -> tuple[str, Fraction]:
    """(unit, factor) of the words beside a number. Raises `NotInGrammar` for a word that changes what the number says."""
    text = text.replace("\\", " ").replace("^", "").strip(" .,;:!-")
    words = re.findall(r"[^\W\d_]+(?:'[a-z]+)?|[%°$€£¥]|\d+|/", text)
    if len(words) > MAX_WORDS:
        raise NotInGrammar
    factor, unit, power = Fraction(1), [], ""
    for position, word in enumerate(words):
        low = word.lower()
        if low in MAGNITUDES and (len(low) > 1 or position == 0 and not spaced):
            factor *= MAGNITUDES[low]
        elif low in FORBIDDEN or low.endswith("n't"):
            raise NotInGrammar
        elif low in ("square", "sq", "cubic", "cu"):
            power = "2" if low.startswith("sq") else "3"
        elif word.isdigit():
            if word not in ("2", "3") or position == 0:
                raise NotInGrammar
            power = word
        elif word in ("/", "per", "Per"):
            unit.append("/")
        elif known := _unit(word):
            unit.append(known)
        elif len(word) == 1 and not (spaced and word in SINGLE) and low not in ("a",):
            raise NotInGrammar  # a variable
    if not [u for u in unit if u != "/"]:
        return "", factor
    joined = "".join(unit).strip("/")
    joined = UNITS.get(joined, joined)
    return ("" if joined == "unit" else joined + power), factor
