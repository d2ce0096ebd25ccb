"""The visitors of the load benchmark: what each asks, drops or cancels, and the book in which they note what came."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.visitors import Run, Site

CAP = 320
WAIT = 60.0  # seconds within which every run must have begun


GRID = tuple(round(0.1 * i, 1) for i in range(11))


@dataclass
class Asked:
    """One run: what was asked, how it ended ("finished", "dropped", "cancelled"), and what came, by λ: (thought, answer, whole)."""

    kind: str
    end: str
    prompt: str
    seed: int
    frames: dict[float, tuple[str, str, bool]] = field(default_factory=dict)
    waited: float | None = None
    tokens: int = 0


@dataclass
class Book:
    """What the visitors note down, from any thread."""

    runs: list[Asked] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, run: Asked) -> None:
        with self.lock:
            self.runs.append(run)

    def fault(self, what: str) -> None:
        with self.lock:
            self.faults.append(what[:300])


@dataclass
class Visitor:
    """One visitor: asks until the end, then goes."""

    number: int
    lam: float
    prompts: list[str]
    site: Site
    book: Book
    until: float

    def __post_init__(self) -> None:
        self.dice = random.Random(self.number)
        self.count = 0

    def live(self) -> None:
        try:
            self.stay()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a fault of the run and is reported
            self.book.fault(f"visitor {self.number}: {type(error).__name__}: {error}")

    def stay(self) -> None:
        while time.monotonic() < self.until:
            self.count += 1
            end = self.dice.choices(("finished", "dropped", "cancelled"), (0.7, 0.15, 0.15))[0]
            self.one(Asked("", end, self.dice.choice(self.prompts), self.number % 7))
            time.sleep(self.dice.uniform(0, 0.5))

    def one(self, run: Asked) -> None:
        raise NotImplementedError


class PageVisitor(Visitor):
    """Over plain HTTP, as the page does: one tab, the event stream, `stop`, a closed connection."""

    def one(self, run: Asked) -> None:
        run.kind = self.dice.choices(("here", "strip"), (0.85, 0.15))[0]
        token = f"{self.number:04d}{self.count:06d}".ljust(16, "x")
        seed = 0 if run.kind == "strip" else run.seed  # strips share their answers with others: fewer to make anew
        run.seed = seed
        view = {"q": run.prompt, "lam": self.lam if run.kind == "here" else 0.5, "cap": CAP, "seed": seed}
        began = time.monotonic()
        tab = Run(self.site, f"tab{self.number}-{self.count}", {"token": token, "kind": run.kind, "view": view})
        self.book.statuses[tab.status] += 1
        leave = self.dice.randint(2, 8)
        last: dict[str, Any] = {"frames": {}}
        for place, last in enumerate(tab.states()):
            if run.waited is None and any(f["state"] != "queued" for f in last["frames"].values()):
                run.waited = time.monotonic() - began
            if place == leave and run.end != "finished":
                if run.end == "dropped":
                    tab.drop()
                    break
                self.book.statuses[self.site.server("stop", token)[0]] += 1
        if last.get("message"):
            self.book.fault(f"visitor {self.number}: {last['message']}")
        for frame in last["frames"].values():
            run.frames[frame["lam"]] = (frame["thought"], frame["answer"], frame["state"] == "done")
            run.tokens += frame["tokens"]
        self.book.note(run)


class ClientVisitor(Visitor):
    """With `gradio_client`, through the named endpoint."""

    def stay(self) -> None:
        from gradio_client import Client

        self.client = Client(self.site.url, verbose=False, httpx_kwargs={"timeout": WAIT})  # type: ignore[attr-defined]
        try:
            super().stay()
        finally:
            self.client.close()

    def one(self, run: Asked) -> None:
        run.kind, began = "client", time.monotonic()
        job = self.client.submit(run.prompt, lam=self.lam, cap=CAP, seed=run.seed, api_name="/generate")
        leave = self.dice.randint(1, 3)
        last: dict[str, Any] = {}
        try:
            for place, last in enumerate(job):
                if run.waited is None and last["state"] != "queued":
                    run.waited = time.monotonic() - began
                if place == leave and run.end != "finished":
                    job.cancel()
                    break
        except Exception as error:  # noqa: BLE001 - a cancelled job ends in one of several ways
            if run.end == "finished":
                self.book.fault(f"visitor {self.number}: {type(error).__name__}: {error}")
        if last:
            run.frames[last["lam"]] = (last["thought"], last["answer_text"], last["state"] == "done")
            run.tokens = last["tokens"]
        self.book.note(run)
