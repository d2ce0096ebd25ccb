"""A scripted engine, a byte tokenizer and a pair for tests: the workbench without weights.

`ScriptedEngine` answers as a blend with a known transition would: it thinks with probability σ((λ − 0.5)/0.05), and is right
with probability 0.4 + 0.5·λ, both decided by the request's seed alone. Prompts look like "What is 3 + 4?".
"""

import hashlib
import math
import queue
import re
import threading
import time
from collections.abc import Callable, Sequence
from types import SimpleNamespace

from mi_explorer.engine.events import Admitted, Event, Failed, Finished, Request, Token
from mi_explorer.prompts import Prompts
from mi_explorer.studies.store.store import Store
from mi_explorer.workbench import Workbench

SPECIAL = ("<think>", "</think>", "<|im_start|>", "<|im_end|>")
OPENS = "<|im_start|>user\n{{ messages[0]['content'] }}<|im_end|>\n<|im_start|>assistant\n<think>{{ '\n' }}"
END = 256 + SPECIAL.index("<|im_end|>")


class ByteTokenizer:
    """Ids 0–255 are bytes, then the special tokens."""

    chat_template = "<|im_start|>user\n{{ messages[0]['content'] }}<|im_end|>\n<|im_start|>assistant{{ '\n' }}"
    eos_token_id = END

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        parts = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
        return [i for part in parts for i in ([256 + SPECIAL.index(part)] if part in SPECIAL else part.encode())]

    def decode(self, ids: Sequence[int], **_: object) -> str:
        out = b"".join(SPECIAL[i - 256].encode() if i >= 256 else bytes([i]) for i in ids)
        return out.decode("utf-8", "replace")


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48


def blend_script(request: Request) -> str:
    """What the scripted blend says."""
    prompt, lam, seed = ByteTokenizer().decode(request.prompt), request.recipe.lam, request.decoding.seed
    numbers = re.findall(r"(\d+) \+ (\d+)", prompt)
    total = sum(map(int, numbers[-1])) if numbers else 0
    said = total if chance("right", seed) < 0.4 + 0.5 * lam else total + 1
    thinks = chance("thinks", seed) < 1 / (1 + math.exp(-(lam - 0.5) / 0.05))
    return (
        f"<think>Let me see. The sum is {said}. Wait, let me check again.</think>" if thinks else ""
    ) + f"The answer is {said}."


class ScriptedStream:
    """The events of one submit."""

    def __init__(self) -> None:
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.cancelled: set[str] = set()
        self.all = False

    def get(self, timeout: float | None = None) -> Event | None:
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            return None

    def drain(self, within: float = 0.0) -> list[Event]:
        time.sleep(within)
        out = []
        while not self.events.empty():
            out.append(self.events.get())
        return out

    def cancel(self, ids: Sequence[str] | None = None) -> None:
        self.all |= ids is None
        self.cancelled |= set(ids or ())


class ScriptedEngine:
    """`rows` at a time, one token each per step of `delay` seconds; `asked` lists every request that was submitted."""

    def __init__(
        self, script: Callable[[Request], str | None] = blend_script, rows: int = 16, delay: float = 0.0
    ) -> None:
        self.script, self.rows, self.delay = script, rows, delay
        self.asked: list[Request] = []
        self.closed = threading.Event()

    def submit(self, requests: Sequence[Request], stream: ScriptedStream | None = None) -> ScriptedStream:
        self.asked += requests
        stream = stream or ScriptedStream()
        stream.cancelled -= {r.id for r in requests}
        threading.Thread(target=self._run, args=(stream, list(requests)), daemon=True).start()
        return stream

    def _run(self, stream: ScriptedStream, waiting: list[Request]) -> None:
        tokenizer, running = ByteTokenizer(), []
        while (waiting or running) and not self.closed.is_set():
            for request in [r for r in waiting if stream.all or r.id in stream.cancelled]:
                waiting.remove(request)
                stream.events.put(Finished(request.id, "cancelled", 0))
            while waiting and len(running) < self.rows:
                request = waiting.pop(0)
                text = self.script(request)
                if text is None:
                    stream.events.put(Failed(request.id, "scripted failure"))
                    continue
                stream.events.put(Admitted(request.id, "folded"))
                running.append((request, tokenizer.encode(text), 0))
            step = []
            for request, ids, t in running:
                if stream.all or request.id in stream.cancelled:
                    stream.events.put(Finished(request.id, "cancelled", t))
                elif t == len(ids) or ids[t] in request.stop_ids:
                    stream.events.put(Finished(request.id, "stop", t))
                elif t == request.decoding.cap:
                    stream.events.put(Finished(request.id, "cap", t))
                else:
                    stream.events.put(Token(request.id, t, ids[t], -0.5))
                    step.append((request, ids, t + 1))
            running = step
            if self.delay:
                time.sleep(self.delay)

    def close(self) -> None:
        self.closed.set()


def scripted_bench(
    engine: ScriptedEngine | None = None,
    store: Store | None = None,
    layers: int = 6,
    context: int | None = 4096,
    templates: dict | None = None,
    name: str = "mini",
    fingerprint: str = "scripted",
) -> Workbench:
    """A workbench whose pair is scripted."""
    pair = SimpleNamespace(
        name=name,
        instruct="i",
        thinking="t",
        base=None,
        think_open="<think>",
        think_close="</think>",
        task="",
        questions=(),
    )
    prompts = Prompts(ByteTokenizer(), templates, stop_ids=(END,), context=context)
    return Workbench(pair, engine or ScriptedEngine(), prompts, layers=layers, store=store, fingerprint=fingerprint)
