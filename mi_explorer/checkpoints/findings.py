"""What a check finds: a note or a refusal, in three sentences (what, why, what to do)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`level` is "note", "export only" (may be blended, not run) or "refused".

    `what` happened, `why` it matters, `todo` what to do about it.
    """

    level: str
    topic: str
    what: str
    why: str
    todo: str

    def text(self) -> str:
        return f"{self.what} {self.why} {self.todo}".strip()


def refused(topic: str, what: str, why: str, todo: str) -> Finding:
    return Finding("refused", topic, what, why, todo)


def export_only(topic: str, what: str, why: str, todo: str) -> Finding:
    return Finding("export only", topic, what, why, todo)


def note(topic: str, what: str, why: str = "", todo: str = "") -> Finding:
    return Finding("note", topic, what, why, todo)


def shorten(value: object) -> str:
    text = str(value) if not isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"
