"""Units on their way through the engine: handed over a window at a time, their events applied, those that ended handed back."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from mi_explorer.engine.events import BULK, Admitted, Token
from mi_explorer.generation.generate import CapError, TextGenerator
from mi_explorer.generation.request_engine import EventSource
from mi_explorer.generation.running_trace import RunningTrace
from mi_explorer.generation.snapshots import LIVE_STATES, GenerationRequest
from mi_explorer.prompts import Prompt, PromptError
from mi_explorer.studies.plan import Item, Plan, Unit

SILENCE_S = 0.05  # seconds to wait for events
PAUSE_S = 0.005  # seconds to rest where a stream has nothing more to say: paused, or the last verdicts are sought


class UnitFeed:
    """The `pending` units of one pair in `generator`'s hands, at most `window` at a time.

    `refused(unit, why)` is called for a unit that cannot be asked: one over-long question must not end a study.
    """

    def __init__(
        self,
        generator: TextGenerator,
        plan: Plan,
        items: Sequence[Item],
        pending: deque[Unit],
        window: int,
        refused: Callable[[Unit, str], None],
    ) -> None:
        self.generator, self.plan, self.items = generator, plan, items
        self.pending, self.window, self.refused = pending, window, refused
        self._prompts: dict[tuple[int, str], Prompt] = {}
        self._rows: dict[str, tuple[Unit, RunningTrace]] = {}
        self._ended: dict[str, None] = {}  # rows whose last event came; their verdicts may still be sought
        self._stream: EventSource | None = None  # one for the whole run: the engine shares its slots among streams

    @property
    def busy(self) -> bool:
        """Whether a unit is in the engine or waits for its verdict."""
        return bool(self._rows)

    @property
    def in_hand(self) -> int:
        """Units that were handed over and have not come back, and those that wait for it."""
        return len(self._rows) + len(self.pending)

    def submit(self) -> None:
        """Fill the window again once half of it is free."""
        if len(self._rows) > self.window // 2:
            return
        batch = []
        while self.pending and len(self._rows) < self.window:
            unit = self.pending.popleft()
            cell, item = self.plan.cells[unit.cell], self.items[unit.item]
            decoding = cell.decoding.with_seed(unit.seed)
            request = GenerationRequest(unit.key, item.prompt, cell.recipe, decoding, item.answer, item.kind)
            which = (unit.item, self.generator.prompts.parent(cell.recipe))
            try:
                if which not in self._prompts:
                    self._prompts[which] = self.generator.prompts.render(item.prompt, cell.recipe)
                asked = self.generator.engine_request(request, self._prompts[which], BULK)
            except (PromptError, CapError) as error:
                self.refused(unit, f"Question {item.id}: {error}")
                continue
            self._rows[unit.key] = (unit, self.generator.new_trace(request, self._prompts[which]))
            batch.append(asked)
        if batch:
            self._stream = self.generator.engine.submit(batch, self._stream)

    def cancel(self, *, queued_only: bool = False) -> None:
        """End what runs; or take back only what waits, and let the rest finish."""
        if self._stream is not None:
            keys = [key for key, (_, row) in self._rows.items() if row.state == "queued"] if queued_only else None
            self._stream.cancel(keys)

    def advance(self) -> int:
        """Apply what the engine has said, waiting a moment if it is silent; returns the number of tokens."""
        events = self.generator.next_events(self._stream, SILENCE_S) if self._stream is not None else []
        if not events:
            time.sleep(PAUSE_S)
        tokens = 0
        for event in events:
            if event.id in self._rows and self._rows[event.id][1].state in LIVE_STATES:
                self.generator.apply(self._rows[event.id][1], event)
                tokens += isinstance(event, Token)
                if not isinstance(event, Admitted | Token):
                    self._ended[event.id] = None
        return tokens

    def ended(self) -> Iterator[tuple[Unit, RunningTrace]]:
        """Hand back the units that ended and have their verdict: finished, failed or cancelled."""
        for key in list(self._ended):
            unit, row = self._rows[key]
            if self.generator.settle(row):
                del self._rows[key], self._ended[key]
                yield unit, row
