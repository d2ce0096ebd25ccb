"""What may stand before an answer and says nothing about its value: "the answer is", 答案是, "La respuesta es", "Ответ:"."""

import re

_THING = (
    "answer|result|solution|solutions|ratio|sum|total|value|product|difference|quotient|root|roots|probability|area|volume|"
    "perimeter|length|number|count|cost|price|amount|average|mean|median|remainder"
)
_ENGLISH = (
    r"(?:(?:so|therefore|thus|hence|then)\b,?\s*)?(?:(?:the|my|our|its)\s+)?(?:(?:final|correct|right|required|desired|exact|best)\s+)*"
    rf"(?:{_THING})\s*(?:is|are|equals|will be|would be|=|:)\s*:?"
)
_POINTING = (
    r"(?:(?:so|therefore|thus|hence|then)\b\s*,?\s*)?(?:it|this|that)(?:'s|\s+is|\s+was|\s+equals)\b"
    r"|(?:so|therefore|thus|hence)\b\s*,?"
)
_EUROPEAN = (
    r"(?:(?:also|donc|por lo tanto|quindi)\b,?\s*)?(?:(?:die|das|la|le|el|a|o|il)\s+)?"
    r"(?:antwort|ergebnis|lösung|réponse|résultat|respuesta|resultado|resposta|risposta|risultato|antwoord|odpowiedź|ответ|cevap)"
    r"\s*(?:(?:lautet|ist|est|es|é|è|is|to|это)\b\s*:?|:|—|=)"
)
_ASIAN = (
    r"(?:所以|因此|故|则|即|那么|综上|最终|最后|正确|的|，|,|\s)*(?:答案|结果|解|和|比|总数|值|答え|解答|정답|답)\s*(?:应该?|就)?\s*"
    r"(?:是|为|為|等于|[:：=]|[はがわ][、,]?|은|는)\s*[:：]?"
)
LEAD = re.compile(rf"^\W*?(?:{_ENGLISH}|{_POINTING}|{_EUROPEAN}|{_ASIAN})\s*(?=\S)", re.IGNORECASE)
_IN_TEXT = re.compile(r"^\\text\s*\{([^{}]*)\}\s*(?=\S)")
_TAIL = re.compile(r"\s*(?:です|でした|である|입니다|이다|。)+\s*。?$")


def without_lead(text: str) -> str:
    """The text without a lead, and without the polite verb that Japanese and Korean sentences end with."""
    text = _TAIL.sub("", text)
    if (box := _IN_TEXT.match(text)) and (match := LEAD.match(box[1] + " 0")) and match.end() > len(box[1]):
        return text[box.end() :]
    match = LEAD.match(text)
    return text[match.end() :] if match else text
