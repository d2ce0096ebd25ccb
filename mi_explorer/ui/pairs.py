"""Which pairs this page may show: judge one before loading, load it in numbered phases, keep the one it started with.

Judging reads configs and headers only. A pair that does not fit into memory is refused before a weight is read. One other
pair may be resident beside the first; it makes room when nobody runs on it.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair, get_pair, list_pairs
from mi_explorer.ui.explore import Explore
from mi_explorer.ui.setup import about

POLICIES = ("fixed", "presets", "any")  # only the pair it started with; those of pairs.yaml; also folders and hub ids


class PairsError(UserError):
    """A pair that this page may not or cannot open now."""


class Pairs:
    """The pairs of one page. `make(pair)` gives a ready `(Explore, setup)`; `first` is resident from the start."""

    def __init__(self, first: Explore, fixed: dict[str, Any], make: Callable[[Pair], tuple[Explore, dict[str, Any]]], policy: str = "fixed") -> None:
        if policy not in POLICIES:
            raise PairsError(f"The policy on pairs must be one of {', '.join(POLICIES)}, not {policy[:40]!r}.")
        self.first, self.policy, self._make = first.bench.pair.name, policy, make
        self._rooms: dict[str, tuple[Explore, dict[str, Any]]] = {self.first: (first, fixed)}
        self._lock = threading.Lock()  # around the dict
        self._loading = threading.Lock()  # one load at a time

    def at(self, name: Any) -> tuple[Explore, dict[str, Any]]:
        """The handlers and the fixed part of a resident pair; of the first one for any other name."""
        with self._lock:
            return self._rooms.get(str(name)) or self._rooms[self.first]

    def rooms(self) -> list[Explore]:
        with self._lock:
            return [explore for explore, _ in self._rooms.values()]

    def offered(self) -> list[dict[str, str]]:
        """The pairs to choose from: `[{"name", "title", "size"}]`, the first one first."""
        first = self.at(self.first)[0].bench.pair
        known = [p for p in list_pairs() if p.name != self.first] if self.policy != "fixed" else []
        return [{"name": p.name, "title": p.title or p.name, "size": p.size} for p in (first, *known)]

    def pair(self, spec: Any) -> Pair:
        """The pair of a name or spec that this page may open. Raises `UserError` otherwise."""
        text = str(spec).strip()[:1000]
        presets = {p.name for p in list_pairs()} | {self.first}
        if self.policy == "fixed" and text != self.first or self.policy == "presets" and text not in presets:
            raise PairsError(
                f"This page does not open {text[:80]!r}: its operator allows {'only the loaded pair' if self.policy == 'fixed' else 'presets only'}."
            )
        return self.at(text)[0].bench.pair if text == self.first else get_pair(text)

    def judge(self, spec: Any) -> dict[str, Any]:
        """Preflight in words: `{"name", "title", "ok", "facts", "rows", "findings"}`, or `{"error"}`."""
        from mi_explorer.weights.preflight import preflight

        try:
            pair = self.pair(spec)
            judged = preflight(pair)
        except UserError as error:
            return {"error": str(error)}
        return {"name": pair.name, "title": pair.title or pair.name, "ok": judged.ok, **about(judged)}

    def load(self, spec: Any) -> Iterator[dict[str, Any]]:
        """Open a pair: yields `{"phase", "of", "text"}` and at last `{"loaded": name}` or `{"error"}`."""
        from mi_explorer.weights.preflight import preflight

        try:
            pair = self.pair(spec)
            if self.at(pair.name)[0].bench.pair.name != pair.name:
                yield {"phase": 1, "of": 3, "text": f"Checking {pair.title or pair.name}"}
                judged = preflight(pair)
                if not judged.ok:
                    raise PairsError(" ".join(f.text() for f in judged.findings if f.level == "refused"))
                if not self._loading.acquire(blocking=False):
                    raise PairsError("Another pair is being loaded. Try again when it is there.")
                try:
                    self._make_room()
                    disk = sum(judged.facts["disk"].values()) / 1e9
                    yield {"phase": 2, "of": 3, "text": f"Reading {judged.facts['tensors']} tensors of each parent ({disk:.1f} GB on disk)"}
                    room = self._make(pair)
                    with self._lock:
                        self._rooms[pair.name] = room
                finally:
                    self._loading.release()
            yield {"phase": 3, "of": 3, "text": "Opening the page on it"}
            yield {"loaded": pair.name}
        except UserError as error:
            yield {"error": str(error)}

    def _make_room(self) -> None:
        with self._lock:
            others = [name for name in self._rooms if name != self.first]
            busy = [name for name in others if self._rooms[name][0].busy()]
            if busy:
                raise PairsError(f"{busy[0]!r} is loaded and somebody runs on it. Try again when it is idle.")
            gone = [self._rooms.pop(name)[0] for name in others]
        for explore in gone:
            explore.bench.close()

    def close(self) -> None:
        """Close every pair but the first, which its owner closes."""
        for explore in self.rooms():
            if explore.bench.pair.name != self.first:
                explore.bench.close()
