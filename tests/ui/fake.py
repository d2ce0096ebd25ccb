"""A scripted workbench: no model, no tensors, the same interface. Traces depend on λ only, and come word by word."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mi_explorer.engine.stream import QueuePosition
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot, verdict_of
from mi_explorer.generation.traces import ThinkTags, TraceBuilder
from mi_explorer.merging.methods import check_params, get_method
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe
from mi_explorer.tasks.task import Question

QUESTIONS = (
    Question("a", "Tom has 3 apples and buys 4 more. How many apples does he have?", "7", "stories", 1),
    Question("b", "What is 2 + 3 * 6?", "20", "expressions", 2),
    Question("c", "Find two numbers with sum 17 and product 60.", "5 and 12", "search", 3),
)

HOSTILE = (
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=2>",
    "{{constructor.constructor('window.pwned=3')()}} {{#each this}}{{this}}{{/each}}",
    "${window.pwned=4} `${window.pwned=5}` <%= window.pwned=6 %>",
    "</textarea></div></style><svg onload=window.pwned=7>",
    "\\unicode{x3C} \\href{javascript:window.pwned=8}{x} $\\input{/etc/passwd}$ \\u003cscript>",
    "\u202emirrored\u202c zero\u200bwidth\ufeff \u2028 line",
    "<style>*{display:none}</style><base href=//evil.example><a href=javascript:window.pwned=9>x</a>",
    "__proto__ constructor toString <!-- --> ]]> &lt;b&gt; &amp;",
)


def reply(ask: GenerationRequest) -> str:
    """Below λ 0.45 one line, wrong below 0.2; then a thought that goes on after it was right, longer with λ.

    "echo: …" gives the text back as thought and answer, "words: N" as many words at every λ, "flood" a megabyte at λ 1, "break"
    ends in a fault.
    """
    lam, gold = ask.recipe.lam, ask.gold or "7"
    if ask.prompt.startswith("echo: "):
        text = ask.prompt.removeprefix("echo: ")
        return text if lam < 0.45 else f"<think>\n{text}\n</think>\n\n{text}"
    if ask.prompt == "flood" and lam == 1:
        return "".join(f"<b>{i}</b>" + "x" * 20_000 + " " for i in range(52))
    if ask.prompt.startswith("words: "):
        return (
            "<think>\n"
            + "one two three four " * (int(ask.prompt.removeprefix("words: ")) // 4)
            + "\n</think>\n\nThe answer is 7."
        )
    if lam < 0.45:
        return f"So the answer is {gold if lam >= 0.2 else '999'}."
    more = "Wait, let me check again. That gives the same, so it is right. " * round(1 + 6 * lam)
    return f"<think>\nFirst I add the numbers. The answer is {gold}. {more}\n</think>\n\nThe answer is {gold}."


class Words:
    """A tokenizer of sorts: a word with the white space after it, or a think tag, is one token; ids count up as they are seen."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.words: list[str] = []

    def encode(self, text: str) -> list[int]:
        for word in (found := re.findall(r"</?think>|[^\s<]+\s*|\s+|<", text)):
            if word not in self.ids:
                self.ids[word] = len(self.words)
                self.words.append(word)
        return [self.ids[word] for word in found]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.words[i] for i in ids)


@dataclass
class FakeBench:
    """Streams `script(ask)` for every ask, one token per row and tick, `rate` ticks a second (0: as fast as can be)."""

    rate: float = 0.0
    script: Callable[[GenerationRequest], str] = reply
    layers: int = 6
    name: str = "mini"
    slots: int = 0
    """How many runs stream at once; the others wait, and say so (0: all)."""

    def __post_init__(self) -> None:
        self.pair = Pair(self.name, "instruct", "thinking", "base", title="Scripted pair", task="mini")
        self.tags, self.words = ThinkTags("<think>", "</think>"), Words()
        self.prompts, self.fingerprint = self.words, "scripted"
        self.asked: list[GenerationRequest] = []
        self.closed = False
        self._line: list[object] = []

    def close(self) -> None:
        self.closed = True

    def check(self, recipe: Recipe) -> None:
        recipe.scope.check(self.layers)
        check_params(get_method(recipe.method), recipe.params)

    def stream(
        self, asks: Sequence[GenerationRequest], *, stop: Any = None, hz: float = 12, **_: Any
    ) -> Iterator[tuple[Snapshot, ...]]:
        self.asked += asks
        rows = [
            (
                a,
                TraceBuilder(self.tags, self.words.decode, a.gold, a.kind),
                self.words.encode(self.script(a)),
            )
            for a in asks
        ]
        yield tuple(Snapshot(a.id, a.recipe, a.decoding, "queued", f.trace()) for a, f, _ in rows)
        self._line.append(ticket := object())
        try:
            while (
                self.slots
                and (place := self._line.index(ticket)) >= self.slots
                and not (stop is not None and stop.is_set())
            ):
                waits = QueuePosition(place - self.slots + 1, len(self._line) - self.slots, len(rows), 0, 7.0)
                yield tuple(Snapshot(a.id, a.recipe, a.decoding, "queued", f.trace(), waits=waits) for a, f, _ in rows)
                time.sleep(0.1)
            yield from self._rows(rows, stop, hz)
        finally:
            self._line.remove(ticket)

    def _rows(self, rows: list[Any], stop: Any, hz: float) -> Iterator[tuple[Snapshot, ...]]:
        longest, last, due = max(len(ids) for *_, ids in rows), 0.0, time.monotonic()
        for i in range(longest + 1):
            if i == 20 and rows[0][0].prompt.startswith("break"):
                raise RuntimeError("device on fire")
            ended = {a.id for a, _, ids in rows if i == len(ids)}
            for _, builder, ids in rows:
                if i < len(ids):
                    builder.add(ids[i], -0.5)
                elif i == len(ids):
                    builder.finish("stop")
            stopped = stop is not None and stop.is_set()
            if ended or stopped or time.monotonic() - last > 1 / hz or not self.rate:
                last = time.monotonic()
                yield tuple(self.snapshot_at(a, f, ids, i, stopped) for a, f, ids in rows if i <= len(ids))
            if stopped:
                return
            if self.rate:
                due = max(due + 1 / self.rate, time.monotonic() - 0.5)  # what took time meanwhile is caught up with
                time.sleep(max(0.0, due - time.monotonic()))

    def snapshot_at(
        self, ask: GenerationRequest, builder: TraceBuilder, ids: list[int], i: int, stopped: bool
    ) -> Snapshot:
        done, trace = i == len(ids), builder.trace()
        state = "done" if done else "cancelled" if stopped else "running"
        verdict = verdict_of(trace, ask.gold, ask.kind) if done else None
        return Snapshot(ask.id, ask.recipe, ask.decoding, state, trace, verdict, self.rate)  # type: ignore[arg-type]
