"""The child of `check_process`: makes checks that may be slow or risky, one request a line, within limits of time and memory."""

import logging
from collections.abc import Callable

from mi_explorer.errors import UserError
from mi_explorer.limited_process import OutOfTime, processor_time, serve
from mi_explorer.tasks.check_process import LIMIT, MEMORY, SOFT_LIMIT
from mi_explorer.untyped import JsonObject


def _prepare(kind: str) -> Callable[[str, str], bool]:
    """In the child: the function (gold, answer) -> bool for this kind, with everything it needs imported."""
    if kind == "math":
        from mi_explorer.tasks.symbolic import same_texts

        same_texts("\\frac{1}{2}x+1", "\\sqrt{2}")  # what the first use imports is not part of any check
        return same_texts
    if kind == "latex":
        from math_verify import parse, verify

        logging.disable(logging.WARNING)  # it warns at every call that its own timeouts, by the clock, are off

        def latex(gold: str, answer: str) -> bool:
            golds, answers = (
                parse(t if "$" in t or "\\boxed" in t else f"${t}$", parsing_timeout=None) for t in (gold, answer)
            )
            return bool(golds and answers and verify(golds, answers, timeout_seconds=None))

        latex("\\frac{1}{2}x+1", "\\sqrt{2}")  # the first parse builds its tables, which is not part of any check
        return latex
    if kind in ("ifeval", "ifeval_loose"):
        from mi_explorer.tasks.ifeval import ifeval_checker

        return ifeval_checker(loose=kind == "ifeval_loose")
    if kind == "reasoning_gym":
        from mi_explorer.tasks.gym import gym_checker

        return gym_checker()
    raise UserError(f"There is no check of the kind {kind!r}.")


def serve_checks() -> None:
    """The child: requests on standard input, one reply each on what was standard output."""
    checks: dict[str, Callable[[str, str], bool]] = {}

    def answer(request: JsonObject) -> JsonObject:
        kind = request["kind"]
        try:
            if kind not in checks:
                checks[kind] = _prepare(kind)
            if "gold" not in request:
                return {"ok": True}
            with processor_time(SOFT_LIMIT, LIMIT):
                return {"ok": bool(checks[kind](request["gold"], request["answer"]))}
        except UserError as error:
            return {"error": str(error)}
        except ImportError as error:
            return {"error": f"The check {kind!r} needs a package that is not here: {error}."}
        except (Exception, OutOfTime):  # noqa: BLE001 - whatever an answer does to a checker, it is not right
            return {"ok": False}

    serve(answer, MEMORY)


if __name__ == "__main__":
    serve_checks()
