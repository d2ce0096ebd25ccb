"""Step times of a loaded pair: measured at the start, looked at again in quiet moments, assumed where they cannot be measured."""

import logging

from mi_explorer.engine.backend import Backend
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.resident import ResidentPair
from mi_explorer.engine.step_times import StepTimer, assumed_costs

log = logging.getLogger(__name__)


class MeasuredCosts:
    """Measures for the thread that runs the steps. `improving` as long as another look may give better figures; `note` what failed."""

    def __init__(self, resident: ResidentPair, backend: Backend) -> None:
        self._resident, self._backend = resident, backend
        self._timer: StepTimer | None = None
        self.note = ""

    @property
    def improving(self) -> bool:
        return self._timer is not None

    def first(self, capacity: int) -> Costs:
        """Measured for up to `capacity` slots; assumed ones where that fails: a request then meets the fault and names it."""
        try:
            self._timer = StepTimer(self._resident, self._backend, capacity)
            return self._timer.start(self._resident.report)
        except Exception as error:
            self._timer = None
            log.warning("step times could not be measured", exc_info=error)
            self.note = (
                f"Step times could not be measured ({type(error).__name__}: {str(error)[:300]}); assumed instead."
            )
            return assumed_costs(self._backend.rowwise)

    def again(self) -> Costs | None:
        """Nobody is here: one more look, for the machine may have been busy before. None if nothing got better."""
        try:
            if self._timer is not None and self._timer.measure_again():
                return self._timer.costs()
        except Exception as error:
            log.warning("step times could not be looked at again", exc_info=error)
        self._timer = None
        return None
