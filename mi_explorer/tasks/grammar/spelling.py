"""One spelling for each sign: Unicode, LaTeX layout, digits, thousands. What means something is never dropped."""

import re
import unicodedata

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
FRACTIONS = {c: unicodedata.normalize("NFKC", c).replace("\u2044", "/") for c in "¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒"}
SIGNS = str.maketrans({
    **dict.fromkeys("−–—‐‑－﹣", "-"), **dict.fromkeys("×⋅·∙∗✕", "*"), **dict.fromkeys("÷∕⁄", "/"), **dict.fromkeys("≤⩽", r"\le "),
    **dict.fromkeys("≥⩾", r"\ge "), "≠": r"\ne ", "≈": r"\approx ", "∞": r"\infty ", "±": r"\pm ", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "∅": r"\emptyset ", "°": r"\degree ", **dict.fromkeys("′’", "'"), **dict.fromkeys("“”", '"'), "：": ":",
    "，": ",", "。": ".", "！": "!", "（": "(", "）": ")", "％": "%", "＝": "=", **dict.fromkeys("\u00a0\u2009\u202f", " "),
    "℃": r"\degree C", "℉": r"\degree F", **dict.fromkeys("\u200b\ufeff\u2060", ""),
    "ℝ": r"\mathbb{R}", "￥": "¥", "″": '"', "∨": r"\lor ", "∧": r"\land ", "≡": r"\equiv ", "∖": r"\setminus ", "；": ";", "、": ",",
    "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⌈": r"\lceil ", "⌉": r"\rceil ", "∛": r"\sqrt[3]", "［": "[", "］": "]",
})  # fmt: skip
_GREEK_NAMES = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon phi chi psi omega"
GREEK = {
    unicodedata.lookup(f"GREEK SMALL LETTER {name.upper().replace('LAMBDA', 'LAMDA')}"): f"\\{name} "
    for name in _GREEK_NAMES.split()
}
WRAPPERS = re.compile(
    r"^(?:\"([^\"]*)\"|'([^']*)'|\$\$(.*)\$\$|\$((?:[^$\\]|\\.)*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\*\*(.*)\*\*|__(.*)__|`(.*)`"
    r"|\\(?:boxed|fbox|framebox|text|textbf|textit|textrm|mathrm|mathbf|mbox|bm|boldsymbol|ensuremath|underline)"
    r"\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
    r"|\\boxed\s*(\d))$",
    re.DOTALL,
)
REPEATING = re.compile(r"\.\d+\.{2,3}$")
LAYOUT = re.compile(
    r"\\(?:left|right)\s*\.(?!\d)|\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?|displaystyle|textstyle|limits|phantom\{[^{}]*\})(?![a-zA-Z])"
)
MONEY = r"[$€£¥₹₽]|\b(?:EUR|USD|GBP|CHF|CAD|AUD|BRL|PLN|euros?|dollars?|kr|zł)\b|руб"
THIN = r"(?:(?<!\\)\\[,;:!> ]|\\thinspace|\\quad|~)"
_UNIT_TEXT = r"\\(?:text|mathrm|textrm|rm)\s*\{([^{}]*)\}"
_FRACTION_OF_UNITS = re.compile(
    rf"\\[dt]?frac\s*\{{\s*{_UNIT_TEXT}\s*\}}\s*\{{\s*{_UNIT_TEXT}\s*(\^\s*(?:\{{\d\}}|\d))?\s*\}}"
)
_INVERSE_UNIT = re.compile(
    r"\\(?:text|mathrm|textrm|rm)\s*\{\s*([a-zA-Z]+)(?:\\[,; ]|\\cdot|[\s~])*([a-zA-Z]+)\s*\^\s*\{?-([1-3])\}?\s*\}"
)
_SPACED_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}(?: \d{3})+),(\d{1,2})(?![\d.,]|\s*\d)")
_SPACE_AROUND = re.compile(r"^(?:\\[,;:! ]\s*|~)+|(?<!\\)\\$")
# `$…$` in a text, by pandoc's rule: no space inside of the dollars and no digit behind, so that prices stay prices.
_INNER_MATH = re.compile(r"(?<!\\)\$(?=\S)([^$\n]*[^\s\\$])\$(?!\d)")
_INNER_BOLD = re.compile(r"(?<![\w)*])(\*\*|__?)(?=\S)([^*_]*[^\s*_])\1(?![\w(*])")
_NEXT_EQUATION = re.compile(r"\s*(?:\n+|\\\\)\s*(?=\\?[a-zA-Z]\w{0,2}\s*=)")
_SPACED_THOUSANDS = re.compile(
    rf"(?<![\d.,])(\d{{1,3}})((?:(?:{THIN}|\{{,\}}|,\\!|'|\s)\s?\d{{3}})+)(?![\d/]|\s*\d|\s+\\frac)"
)
_DOTTED_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:\.\d{3}){2,}(?![\d.,])")
_COMMA_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d,]*,?\d)")


def unwrap(text: str) -> str:
    """`text` without the markup around it and the stop at its end."""
    for _ in range(6):
        before = text
        text = _SPACE_AROUND.sub("", text.strip())
        if not REPEATING.search(text):
            text = re.sub(r"(?:\\[,;:!]|(?<!\\)[.,;:?])+$", "", text).strip()
        if match := WRAPPERS.match(text):
            text = next(group for group in match.groups() if group is not None)
        if text == before:
            break
    return text


def one_spelling(text: str) -> str:
    """The text with one sign for one meaning; layout commands are gone, thousands are joined."""
    text = re.sub(r"^\s*(?:\\(?:therefore|implies|Rightarrow)\s*|=\s*)+", "", text)
    text = _INNER_MATH.sub(r"\1", text) if text.count("$") > 1 else text
    text = _INNER_BOLD.sub(r"\2", text)
    text = _NEXT_EQUATION.sub(", ", text) if "begin" not in text else text
    text = re.sub("((?:\\d[\u0304\u0305])+)", lambda m: "\\overline{" + re.sub(r"\D", "", m[1]) + "}", text)
    if "\\text" in text:
        text = re.sub(r"\\text\s*\{\s*\\?([$:])\s*\}", r"\1", text)
        text = re.sub(r"\\text\s*\{\s*(?:minus|negative|-)\s*\}", "-", text)
    text = re.sub(r"\{\s*([^{}]+?)\s*\\choose\s*([^{}]+?)\s*\}", r"\\binom{\1}{\2}", text)
    if "C" in text or "choose" in text:
        text = re.sub(r"(?:\{\s*\})?[_^]\s*\{?(\d+)\}?\s*C\s*_\s*\{?(\d+)\}?|(\d+) choose (\d+)", _binomial, text)
    text = re.sub(r"(?<=\d)\s+factorial\b", "!", text)
    text = re.sub(r"(\d)\s*([¼½¾⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞⅐⅑⅒])", r"\1 \2", text)
    for sign, plain in FRACTIONS.items():
        text = text.replace(sign, plain)
    if "=" not in text:
        text = re.sub(r"(?<=\d)[–—](?=\d)", "⁓", text)  # 2–3 is a range and no difference; nothing reads this sign
    text = re.sub("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+", lambda m: "^{" + m[0].translate(SUPERSCRIPTS) + "}", text).translate(SIGNS)
    text = re.sub(r"√\s*(\d+|[a-z])", r"\\sqrt{\1}", text).replace("√", r"\sqrt")
    text = "".join(_ascii(c) for c in text)
    text = LAYOUT.sub(" ", text)
    if "\\" in text or "{:}" in text:
        text = _plain_commands(text)
    text = text.replace("⟨", "(").replace("⟩", ")")
    if "per" in text or "point" in text or "‰" in text:
        text = re.sub(r"\bper cent\b|\bpercentage points?\b", "percent", text)
        text = re.sub(r"\bbasis points?\b", "bps", text)
        text = re.sub(r"\s*‰|\bper mille\b", " permille", text)
    text = re.sub(r"\{?\\overline\s*\{?(\d+)\}{0,2}", r"\\overline{\1}", text)
    text = re.sub(r"(?<=\d)\s*[xX]\s*(?=10\s*\^)", "*", text)
    text = re.sub(r"(?<=[-+])\\\$|^\\?\$(?=[-+]?\d)|\\\$", "$", text)
    text = text.replace(r"\{", "⟦").replace(r"\}", "⟧").replace(r"\lbrace", "⟦").replace(r"\rbrace", "⟧")
    if re.fullmatch(r"-?\d{1,3}(?:_\d{3})+(?:\.\d+)?", text.strip()):
        text = text.replace("_", "")
    text = _SPACED_DECIMAL_COMMA.sub(lambda m: m[1].replace(" ", "") + "." + m[2], text)
    text = _SPACED_THOUSANDS.sub(lambda m: m[1] + re.sub(r"\D", "", m[2]), text)
    text = _decimal_point(text)
    text = _DOTTED_THOUSANDS.sub(lambda m: m[0].replace(".", ""), text)
    if not re.search(r"[(\[⟦]", text):
        text = _COMMA_THOUSANDS.sub(lambda m: m[0].replace(",", ""), text)
    else:
        text = re.sub(r"(?<=\d)\{,\}(?=\d{3})", "", text)
    text = re.sub(THIN, " ", text)
    return re.sub(r"\s+", " ", text).strip()


def _plain_commands(text: str) -> str:
    """LaTeX commands with several names under one, and units that are written as fractions."""
    text = re.sub(r"\\(?:[dtcs]|nice)frac", r"\\frac", text)
    text = re.sub(r"\\colon(?![a-z])|\{:\}", ":", text)
    text = re.sub(r"\\[lc]?dots[bcmo]?(?![a-z])", r"\\ldots", text)
    text = (
        text if "\\pm" in text else re.sub(r"\\mp(?![a-z])", r"\\pm", text)
    )  # which sign is first matters beside a ± only
    text = re.sub(r"(?<=[\d.])\\(bar|dot)\s+(\d)", r"\\\1{\2}", text)
    text = re.sub(r"\\(?:mathrm|mathbf|mathit|rm|bf)\s+([a-zA-Z])(?![a-zA-Z])", r" \1 ", text)
    text = re.sub(r"\{([^{}]*)\\over(?![a-z])([^{}]*)\}", r"\\frac{\1}{\2}", text)
    text = re.sub(r"\\langle(?![a-z])", "(", re.sub(r"\\rangle(?![a-z])", ")", text))
    text = _FRACTION_OF_UNITS.sub(lambda m: rf"\text{{ {m[1].strip()}/{m[2].strip()}}}{m[3] or ''}", text)
    text = _INVERSE_UNIT.sub(lambda m: rf"\text{{ {m[1]}/{m[2]}}}" + (f"^{m[3]}" if m[3] != "1" else ""), text)
    return re.sub(r"\\[lr]?vert(?![a-z])", "|", text)


def _decimal_point(text: str) -> str:
    """Decimal commas that cannot be anything else: `1.234,5`, `3{,}14`, and `5,00 €`, money with exactly two decimals."""
    text = re.sub(r"(?<=\d)\{,\}(?=\d{3}(?!\d))", "", text)
    text = re.sub(r"(?<![\d,{}])(\d+)\{,\}(\d+)(?![\d,{}])", r"\1.\2", text)
    text = re.sub(
        r"(?<![\d.,])(\d{1,3}(?:\.\d{3})+),(\d+)(?![\d.,])", lambda m: m[1].replace(".", "") + "." + m[2], text
    )
    if re.search(MONEY, text, re.IGNORECASE) and re.fullmatch(r"\D*\d+,\d\d(?!\d)\D*", text):
        text = re.sub(r"(\d),(\d\d)", r"\1.\2", text)
    return text


def _binomial(match: re.Match[str]) -> str:
    """`{}_8C_3`, `^8C_3` and `8 choose 3` as a command."""
    n, k = match[1] or match[3], match[2] or match[4]
    return rf"\binom{{{n}}}{{{k}}}"


def _ascii(c: str) -> str:
    """Digits and letters of other widths and scripts as ASCII; Greek letters as commands."""
    if c < "\x7f":
        return c
    if c.isdigit() and (digit := unicodedata.digit(c, -1)) >= 0 and unicodedata.category(c) == "Nd":
        return str(digit)
    if c in GREEK:
        return GREEK[c]
    plain = unicodedata.normalize("NFKC", c)
    return plain if plain.isascii() else c


def plain_words(text: str) -> str:
    """Lower-case words with single spaces, without markup and the punctuation around them."""
    text = re.sub(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\*\*|__|\\left|\\right|\\[!,;: ]|[$`]", "", text)
    return re.sub(r"\s+", " ", text).strip(" .,;:!?\"'*").lower()
