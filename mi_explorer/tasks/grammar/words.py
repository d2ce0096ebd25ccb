"""Words beside a number: some multiply it, some change what it says, names say nothing."""

MAGNITUDES = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12, "lakh": 10**5,
    "crore": 10**7, "mn": 10**6, "bn": 10**9, "百": 10**2, "千": 10**3, "万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8,
    "만": 10**4, "억": 10**8,
}  # fmt: skip
SHORT_MAGNITUDES = {
    "k": 10**3,
    "m": 10**6,
    "mm": 10**6,
    "b": 10**9,
    "t": 10**12,
}  # behind money only; `k` behind any number
# Words that may stand before a number; all others may change it, in whatever language.
BEFORE = frozenset(["the", "a", "an", "is", "are", "was", "were", "be", "equals", "equal", "it", "its", "that", "this",
    "there", "we", "i", "she", "he", "they", "you", "get", "gets", "got", "have", "has", "had", "so", "therefore", "thus",
    "hence", "then", "answer", "answers", "final", "correct", "right", "result", "total", "totals", "sum", "value", "number",
    "amount", "in", "all", "altogether", "exactly", "only", "just", "precisely", "about", "approximately", "approx",
    "roughly", "around", "ca", "circa", "of", "about", "count", "cost", "costs", "pays", "earns", "needs", "makes", "takes",
    "gives", "left", "共", "一共", "总共", "有", "共有", "是", "为", "等于", "约", "大约", "得", "合计", "prime"])  # fmt: skip
# What makes a number no answer: negations, bounds, alternatives, operations, number words, dates.
_ENGLISH = """
    not no never neither nor none non isn't isnt aren't wasn't cannot can't except without unlike other minus plus
    negative positive least most than more less fewer over under above below between beyond exceed exceeds exceeding
    up maximum minimum max min within or either both any every all each times divided multiplied squared cubed
    square-root root cube half twice double triple quadruple third quarter choose mod modulo power factorial point
    remainder ratio if unless only wrong incorrect false undefined variable zero one two three four five six seven
    eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty
    fifty sixty seventy eighty ninety hundreds thousands millions dozens and versus vs to through but anything nothing
    everything almost nearly onwards upwards plus-minus halves thirds quarters maybe perhaps possibly unknown january
    february march april may june july august september october november december monday tuesday wednesday thursday
    friday saturday sunday
"""
_NAMES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty"
)
NUMBER_NAMES = {
    name: str(i) for i, name in enumerate(_NAMES.split())
}  # no numbers by themselves; `15 (fifteen)` says it twice
_OTHER_LANGUAGES = """
    nicht kein keine mindestens höchstens mehr weniger oder und über unter mal ohne außer fast bis hundert tausend millionen milliarden
    pas non moins plus ou et sans sauf fois presque jusque environ-pas mille millions milliards
    no menos más mas o y u sin salvo veces casi hasta mil millones ni
    nao não mais ou e sem quase até milhões
    più meno o oppure senza volte quasi fino mila milioni
    niet geen minder meer zonder bijna tot minstens hoogstens duizend miljoen
    не нет более менее больше меньше или и без кроме почти до раз минус плюс тысяч тысячи миллион миллионов миллиона
    nie mniej więcej lub bez prawie tysięcy milionów
"""
FORBIDDEN = frozenset((_ENGLISH + _OTHER_LANGUAGES).split())
# The same where words are written without spaces: one of these signs in a word is enough.
FORBIDDEN_SIGNS = frozenset(
    "不非无無未没沒勿莫至最超过過大小少多余餘上下或和与與及到负負倍分半折成第点點除错錯误誤左右乘加减減几幾若未約以每各"
)
FORBIDDEN_PARTS = (
    "이상",
    "이하",
    "초과",
    "미만",
    "아니",
    "또는",
    "より",
    "または",
    "ない",
    "ません",
    "以外",
    "くらい",
    "배",
)
MAX_WORDS = 8  # beside a number


_TENS = {
    name: 10 * i
    for i, name in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2)
}
_SIZES = {"hundred": 100, "thousand": 10**3, "million": 10**6}


def number_name(text: str) -> int | None:
    """The number that English words are, `seventy-two`, `two thousand and five`; None for other words."""
    total = part = 0
    for word in text.lower().replace("-", " ").split():
        if word in NUMBER_NAMES or word in _TENS:
            part += int(NUMBER_NAMES.get(word) or _TENS[word])
        elif word in _SIZES:
            part = (part or 1) * _SIZES[word]
            if word != "hundred":
                total, part = total + part, 0
        elif word != "and":
            return None
    return total + part


def is_asian(word: str) -> bool:
    """Whether a word is in a script that sets no spaces between words."""
    return any("\u3040" <= c <= "\u30ff" or "\u3400" <= c <= "\u9fff" or "\uac00" <= c <= "\ud7af" for c in word)


def changes_number(word: str) -> bool:
    """Whether a word beside a number changes what the number says: "not", "at least", 不, 以上."""
    low = word.lower()
    if is_asian(word):
        return any(c in FORBIDDEN_SIGNS for c in word) or any(part in word for part in FORBIDDEN_PARTS)
    return low in FORBIDDEN or low.endswith("n't")
