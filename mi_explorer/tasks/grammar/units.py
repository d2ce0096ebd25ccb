"""Units and currencies beside a number. Each has one name; other words are names ("apples") and say nothing about the value."""

import re
from fractions import Fraction

from mi_explorer.tasks.grammar.expression import FUNCTION_NAMES, NotInGrammar
from mi_explorer.tasks.grammar.words import (
    BEFORE,
    MAGNITUDES,
    MAX_WORDS,
    NUMBER_NAMES,
    SHORT_MAGNITUDES,
    changes_number,
    is_asian,
)

_UNITS = {
    "mm": "mm millimeter millimetre 毫米", "cm": "cm centimeter centimetre zentimeter 厘米 公分", "m": "m meter metre 米 メートル",
    "km": "km kilometer kilometre 千米 公里", "in": "in inch inche", "ft": "ft foot feet", "yd": "yd yard", "mi": "mi mile",
    "mg": "mg milligram 毫克", "g": "g gram gramme 克", "kg": "kg kilogram kilogramme 千克 公斤", "lb": "lb pound", "oz": "oz ounce",
    "t": "tonne 吨", "l": "l L liter litre 升", "ml": "ml mL milliliter millilitre 毫升", "gal": "gal gallon", "s": "s sec second 秒",
    "min": "min minute minuten 分钟", "h": "h hr hour stunde stunden 小时", "day": "day 天 tage", "week": "week 周", "month": "month",
    "year": "year yr 年 jahre", "km/h": "km/h kph kmh kmph", "mph": "mph mi/h", "m/s": "m/s", "deg": "degree deg 度",
    "°C": "°C celsius 摄氏度", "°F": "°F fahrenheit", "%": "% percent percentage pct prozent", "$": "$ dollar usd buck 美元",
    "cent": "cent ¢", "€": "€ euro eur 欧元", "£": "£ gbp", "¥": "¥ yen yuan jpy cny rmb 元 円 人民币 块", "unit": "unit",
    "J": "J joule", "N": "N newton", "W": "W watt", "V": "V volt", "A": "A amp ampere", "Hz": "Hz hertz", "Pa": "Pa pascal",
    "mol": "mol mole", "rad": "rad radian", "kWh": "kWh", "cal": "cal calorie", "kcal": "kcal", "acre": "acre", "ha": "ha hectare",
    "byte": "byte B", "bit": "bit", "bar": "bar", "atm": "atm", "K": "kelvin", "Ω": "ohm Ω", "rs": "rs inr rupee ₹", "chf": "chf",
    "CA$": "cad", "A$": "aud", "HK$": "hkd", "kr": "kr sek nok dkk", "zł": "zł pln", "R$": "brl", "rub": "rub руб рублей ₽",
    "cup": "cup", "pt": "pint", "qt": "quart", "tsp": "tsp teaspoon", "tbsp": "tbsp tablespoon", "nautical": "knot",
}  # fmt: skip
_PREFIXED = {
    f"{prefix}{base}": f"{prefix}{base}"
    for bases, prefixes in (
        ("m s g A V W N Hz Pa mol eV", "n μ µ u m k M G"),
        ("J", "m k M G"),
        ("B b", "k K M G T"),
        ("l L", "μ c d"),
    )
    for base in bases.split()
    for prefix in prefixes.split()
}
UNITS = _PREFIXED | {name: unit for unit, names in _UNITS.items() for name in names.split()}
PARTS_OF_PERCENT = {"permille": Fraction(1, 10), "bps": Fraction(1, 100)}
UNITS |= {"deg°C": "°C", "deg°F": "°F"}
SINGLE = frozenset(n for n in UNITS if len(n) == 1 and n.isascii() and n.isalpha())
CURRENCIES = frozenset(("$", "€", "£", "¥", "rs", "chf", "CA$", "A$", "HK$", "kr", "zł", "R$", "rub"))
_CODES = "USD|EUR|GBP|INR|CAD|AUD|HKD|JPY|CNY|RMB|CHF|BRL"
_CURRENCY_BEFORE = re.compile(
    r"^([-+]?)\s*(?:(?:US|U\.S\.|USD)\s*\\?\$|(?P<dollars>CAD?|AUD?|HK|R)\s*\\?\$|\\?(?P<sign>[$€£¥₹₽])"
    rf"|(?P<code>{_CODES}|Rs\.?)(?:\s|(?=\d))|U\.?\s?S\.?\s+(?=[\d.]))\s*([-+]?)\s*(?=[.\d{{\\(])"
)
_TEXT = r"\\(?:text|mathrm|mbox|textrm|textbf|mathbf|rm|operatorname|textit|mathit)\s*\{([^{}]*)\}"
_TEXT_AFTER = re.compile(
    rf"^(.*?(?:[\d)}}\]!%½]|\\pi))\s*((?:{_TEXT}(?:\s*\^\s*(?:\{{-?\d+\}}|-?\d))?|[\s/.·*]|\\cdot|\\(?=\s))+)$",
    re.DOTALL,
)
_DEGREES = re.compile(
    r"\s*(?:\^\s*(?:\{\s*)?(?:\\circ|\\degree|o)(?:\s*\})?|\\circ|\\degree|\\degrees)\s*(?:\\text\s*\{\s*)?([CF])?\s*\}?$"
)
_PER = re.compile(r"\s*(?:/|per\b|an?\b)", re.IGNORECASE)
_TRIGONOMETRIC = re.compile(r"(?<![a-z])(?:sin|cos|tan|cot|sec|csc)(?![a-z])")
_SIGN_WORD = re.compile(r"^(?:minus|negative|负)\s*(?=[\d.\\(])", re.IGNORECASE)
_BRACKETED = re.compile(r"^(.*\d.*?)\s*(?:\[([^\[\]{}()]+)\]|\(([^\[\]{}()]+)\)|\{([^\[\]{}()]+)\})\s*\.?$")
_NUMBER = re.compile(r"(?<![A-Za-z_\\{])[-+]?\s?\\?[$€£¥]?\d[\d.]*(?:\s+\d+/\d+|/\d+)?(?:e[-+]?\d+)?!?")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(?:\\text\s*\{\s*)?([^\W\d_]+|'|\")\.?\s*\}?\s*(?:,|and\b|&)?\s*")
_MARKS = {"'": "ft", '"': "in"}


def split_unit(text: str) -> tuple[str, str, Fraction]:
    """(the expression without its words, the unit or "", a factor such as a million); raises `NotInGrammar`."""
    text = _SIGN_WORD.sub("-", text.strip())
    unit = ""
    if match := _CURRENCY_BEFORE.match(text):
        text, unit = (match[1] or match[5]) + text[match.end() :], _currency(match)
    if (match := _DEGREES.search(text)) and not _TRIGONOMETRIC.search(text):  # \sin 30° is no angle
        text, unit = text[: match.start()].strip(), f"°{match[1]}" if match[1] else "deg"
    if match := re.search(r"\s*\\?%$", text):
        text, unit = text[: match.start()].strip(), "%"
    if match := re.search(r"\s*\\?([$€£¢¥₹₽])$", text):
        text, unit = text[: match.start()].strip(), unit or UNITS[match[1]]
    if (match := _TEXT_AFTER.match(text)) and "{" in match[2] and not re.fullmatch(r".*\{\s*[eid]\s*\}.*", match[2]):
        after = re.sub(_TEXT, lambda m: f" {m[1]} ", match[2])
        found, factor = _read_after(after.replace("\\cdot", " ").replace("{", "").replace("}", ""), True, unit)
        return match[1].strip(), unit or found, factor
    if (match := _BRACKETED.match(text)) and (named := _named_in_brackets(match)):
        core, found, factor = split_unit(match[1])
        return core, unit or found or named[0], factor * named[1]
    core, before, after = _split_words(text, unit)
    found, factor = "", Fraction(1)
    if before or after:
        _check_before(before, core)
        found, factor = _read_after(after, text[: len(text) - len(after)].endswith(" "), unit)
        if unit in CURRENCIES and found and _PER.match(after):
            unit = f"{unit}/{found}"
    return core, unit or found, factor


def _currency(match: re.Match[str]) -> str:
    code = match["code"] or match["dollars"] or match["sign"] or "$"
    known = {"CA": "CA$", "CAD": "CA$", "AU": "A$", "AUD": "A$", "A": "A$", "HK": "HK$", "R": "R$", "C": "CA$"}
    return known.get(code) or UNITS.get(code.lower().rstrip(".")) or UNITS.get(code, "$")


def _named_in_brackets(match: re.Match[str]) -> tuple[str, Fraction] | None:
    """(unit, factor) of a name in brackets behind a number, `18 [eggs]`; None where the brackets may be a factor."""
    inner = (match[2] or match[3] or match[4]).strip()
    words = re.findall(r"[^\W\d_]+", inner)
    if re.sub(r"[^\W\d_]+|[\s%°/.'-]", "", inner) or not words and inner not in ("%", "°"):
        return None
    if not re.fullmatch(r"-?[$€£¥]?[\d.,/\s]*\d(?:\s+[^\W\d_]{3,})*", match[1].strip()):
        return None
    if inner.lower() in NUMBER_NAMES and NUMBER_NAMES[inner.lower()] == match[1].strip():
        return "", Fraction(1)
    if not _known_unit(inner) and not any(len(w) > 3 or is_asian(w) for w in words) and words != ["in", "total"]:
        return None
    return _read_after(inner, True, "")


def _split_words(text: str, currency: str) -> tuple[str, str, str]:
    """(core, words before, words after) of a text with prose around its one number; (text, "", "") for a plain expression."""
    if not re.search(r"[^\W\d_]{2,}|\d\s*[^\W\d_]", text):
        return text, "", ""
    numbers = list(_NUMBER.finditer(text))
    if len(numbers) != 1 or "\\pi" in text:
        exact = re.fullmatch(r"(.*(?:[\d)}\]!]|\\pi))\s+([^\W\d_][^\d\\]*?(?:\^\{?\d\}?)?)", text, re.DOTALL)
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
    core = re.sub(r"[$€£¥\\]", "", number[0]).strip()
    marks = before + (re.sub(r"\^|\{(?=\d)|(?<=\d)\}", "", after) if _known_unit(after) else after)
    if re.search(r"[\\^_=<>{}()\[\]|]", marks):
        return text, "", ""
    words = re.findall(r"[^\W\d_]+", before + " " + after)
    if after.strip(" .") in ("sec", "min"):
        return core, before, after
    if not words or any(w.lower() in FUNCTION_NAMES | {"pi", "infinity", "infty"} for w in words):
        return text, "", ""
    if any(map(is_asian, words)) or _is_money(after, currency):
        return core, before, after
    attached = after[:1].isalpha()
    if attached and not (_known_unit(after) and len(after.strip()) > 1) and after.strip().lower() not in MAGNITUDES:
        return text, "", ""
    if all(len(w) == 1 for w in words) and not _known_unit(after):
        return text, "", ""
    if re.match(r"\s*[-+*/!]", after) and not re.match(r"\s*/\s*[a-z]", after):
        return text, "", ""
    return core, before, after


def _is_money(after: str, currency: str) -> bool:
    """Whether a short magnitude stands beside money: `5M` behind a "$", `5M dollars`."""
    words = re.findall(r"[^\W\d_]+|[$€£¥]", after)
    named = currency or (len(words) > 1 and UNITS.get(words[1].lower().removesuffix("s")) or "")
    return bool(words) and named in CURRENCIES and words[0].lower() in SHORT_MAGNITUDES


def _known_unit(text: str) -> bool:
    words = re.findall(r"[^\W\d_%°]+|[%°$]", text)
    if re.sub(r"[^\W\d_%°]+|[%°$/.\s*]|\^?\{?-?[123]\}?", "", text):
        return False
    return bool(words) and all(_unit(w) is not None or w in ("per", "sq", "square", "cubic", "cu") for w in words)


def _unit(word: str) -> str | None:
    """The one name of a unit, from any of its spellings."""
    for form in (word, word.lower(), word.lower().rstrip("s"), word.lower().removesuffix("es")):
        if form in UNITS and (len(form) > 1 or form == word) and (form == word or form not in _PREFIXED):
            return UNITS[form]
    return None


def _check_before(text: str, core: str) -> None:
    """Raises `NotInGrammar` for words before a number that are not known to leave it as it is."""
    label = text.endswith((":", "="))
    for word in re.findall(r"[^\W\d_]+(?:'[a-z]+)?", text):
        if NUMBER_NAMES.get(word.lower()) == core:
            continue
        if word.lower() not in BEFORE and (not label or changes_number(word)):
            raise NotInGrammar


def _read_after(text: str, spaced: bool, currency: str) -> tuple[str, Fraction]:
    """(unit, factor) of the words behind a number. Raises `NotInGrammar` for a word that changes what the number says."""
    money = _is_money(text, currency)
    text = text.replace("\\", " ").replace("^", "").strip(" .,;:!-")
    words = re.findall(r"[^\W\d_]+(?:'[a-z]+)?|[%°$€£¥]|\d+|/", text)
    if len(words) > MAX_WORDS:
        raise NotInGrammar
    factor, unit, power = Fraction(1), [], ""
    for position, word in enumerate(words):
        low = word.lower()
        if position == 0 and money:
            factor *= SHORT_MAGNITUDES[low]
        elif is_asian(word):
            named, size, times = _asian_word(word)
            factor, power = factor * times, power or size
            unit += [named] if named else []
        elif low in MAGNITUDES:
            factor *= MAGNITUDES[low]
        elif low in PARTS_OF_PERCENT:
            factor, unit = factor * PARTS_OF_PERCENT[low], [*unit, "%"]
        elif changes_number(word) and not (low == "min" and len(words) == 1):  # 90 min
            raise NotInGrammar
        elif low in ("square", "sq", "cubic", "cu"):
            power = "2" if low.startswith("sq") else "3"
        elif word.isdigit():
            if word not in ("2", "3") or position == 0:
                raise NotInGrammar
            power = word
        elif word in ("/", "per", "Per"):
            unit.append("/")
        elif low in ("a", "an") and unit and position + 1 < len(words) and _unit(words[position + 1]):
            unit.append("/")  # 12 dollars an hour
        elif low == "in" and position + 1 < len(words):
            break  # "in total", "in the box"
        elif known := _unit(word):
            unit.append(known)
        elif len(word) == 1 and not (spaced and word in SINGLE) and low not in ("a",):
            raise NotInGrammar  # a variable
    if not [u for u in unit if u != "/"]:
        return "", factor
    joined = "".join(unit).strip("/")
    joined = UNITS.get(joined, joined)
    return ("" if joined == "unit" else joined + power), factor


def _asian_word(word: str) -> tuple[str, str, Fraction]:
    """(unit, its power, factor) of a word without spaces: `万元`, `平方厘米`, `个苹果`."""
    factor, power = Fraction(1), ""
    while word and UNITS.get(word) is None and word[0] in MAGNITUDES:
        factor, word = factor * MAGNITUDES[word[0]], word[1:]
    for sign, size in (("平方", "2"), ("立方", "3")):
        if word.startswith(sign):
            power, word = size, word.removeprefix(sign)
    if word in UNITS:
        return UNITS[word], power, factor
    if power or changes_number(word):
        raise NotInGrammar
    return "", "", factor


def compound_parts(text: str) -> list[tuple[Fraction, str]]:
    """[(3, "ft"), (5, "in")] of `3 feet 5 inches`; [] unless there are two or more different units."""
    parts, at = [], 0
    while match := _PART.match(text, at):
        unit = _MARKS.get(match[2]) or _unit(match[2])
        if unit is None:
            return []
        parts.append((Fraction(match[1]), unit))
        at = match.end()
    return parts if at == len(text) and len({unit for _, unit in parts}) == len(parts) > 1 else []
