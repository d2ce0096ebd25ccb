"""What interventions cost: twelve probes of a trace against decoding that trace, and a change of λ against a prefill of the prefix.

    python -m tests.bench.bench_probe            # on the embedded pair
    python -m tests.bench.bench_probe --quick    # one repetition, to see that it works; its figures mean nothing
    python -m tests.bench.bench_probe --json     # one object on standard output; --json FILE writes it there

Both figures are ratios within one run, medians of interleaved repetitions, one thread, greedy, nobody else in the engine. Probes: every
request of `ProbeRun` together, forced answers alone, from submission to the last event. λ change: from the command in mid-thought to the
next token; against a fresh request with the same tokens given, at the new λ, from submission to its first token.
"""

import os
import statistics
import time
from collections.abc import Iterable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from mi_explorer.engine.events import Changed, Request, Token
from mi_explorer.generation.probe_points import ProbeOptions
from mi_explorer.generation.probes import ProbeRun, ProbeTarget
from mi_explorer.generation.snapshots import GenerationRequest
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.versions import versions
from mi_explorer.tasks import load_task
from mi_explorer.workbench import Workbench
from tests.bench.figures import benchmark_options, put_out

POINTS = 12
GREEDY = Decoding(temperature=0, cap=512)


def engine_requests(bench: Workbench, requests: Iterable[GenerationRequest]) -> list[Request]:
    """The same requests as the engine takes them."""
    generator = bench.generator
    return [generator.engine_request(r, generator.prompts.render(r.prompt, r.recipe), 0) for r in requests]


def seconds_to_end(bench: Workbench, requests: list[Request]) -> float:
    """From submission to the last event."""
    began = time.perf_counter()
    for _ in bench.engine.submit(requests):
        pass
    return time.perf_counter() - began


def probes_against_trace(bench: Workbench, questions: int, rounds: int) -> dict[str, Any]:
    """Time of twelve probes ÷ time of decoding the trace, for traces of λ = 1 with a thought."""
    task = load_task("mini", questions)
    ratios, tokens = [], []
    for question in task.questions:
        ask = GenerationRequest("trace", task.prompt(question), Recipe(lam=1.0), GREEDY, question.gold, question.kind)
        *_, (snapshot,) = bench.stream([ask])
        if not snapshot.trace.thought.strip():
            continue
        target = ProbeTarget.of(snapshot, ask.prompt, question.gold, question.kind)
        run = ProbeRun(bench.generator, target, ProbeOptions(points=POINTS))
        both = engine_requests(bench, [ask]), engine_requests(bench, run.requests)
        times = [(seconds_to_end(bench, both[0]), seconds_to_end(bench, both[1])) for _ in range(rounds)]
        ratios.append(statistics.median(probe / trace for trace, probe in times))
        tokens.append(snapshot.trace.tokens)
    return {
        "probes ÷ trace, median": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f}–{max(ratios):.2f}",
        "traces": f"{len(ratios)} of {statistics.median(tokens):.0f} tokens",
        "target": "≤ 1.5",
    }


def change_against_prefill(bench: Workbench, prefix: int, rounds: int) -> dict[str, Any]:
    """Time from a change of λ after `prefix` tokens to the next token ÷ time to the first token of a request that is given them."""
    question = load_task("mini", 1)
    prompt = question.prompt(question.questions[0])
    base = engine_requests(
        bench, [GenerationRequest("a", prompt, Recipe(lam=1.0), Decoding(temperature=0, cap=2 * prefix))]
    )[0]
    # without stop ids the response goes on as long as the cap, whatever it says
    running = Request("a", base.prompt, base.recipe, base.decoding)
    ratios = []
    for turn in range(rounds):
        target, tokens, changed = Recipe(lam=0.5 + 0.01 * turn), [], 0.0
        stream = bench.engine.submit([running])
        began = change = 0.0
        for event in stream:
            if isinstance(event, Token):
                if changed:
                    change = time.perf_counter() - began
                    stream.cancel()
                    break
                tokens.append(event.token)
                if len(tokens) == prefix:
                    began = time.perf_counter()
                    stream.change("a", target)
            elif isinstance(event, Changed):
                changed = event.at
        fresh = Request("b", running.prompt, target, running.decoding, given=tuple(tokens[: int(changed)]))
        began = time.perf_counter()
        for event in (stream := bench.engine.submit([fresh])):
            if isinstance(event, Token):
                ratios.append(change / (time.perf_counter() - began))
                stream.cancel()
                break
    return {
        "λ change → next token ÷ prefill of the prefix, median": round(statistics.median(ratios), 2),
        "range": f"{min(ratios):.2f}–{max(ratios):.2f}",
        "prefix": f"{prefix} tokens",
        "target": "≤ 1.5",
    }


def main() -> None:
    args = benchmark_options(__doc__).parse_args()
    rounds = 1 if args.quick else 7
    with Workbench.open("mini", report=lambda *_: None) as bench:
        found = {
            "probes": probes_against_trace(bench, 2 if args.quick else 8, rounds),
            "λ change": change_against_prefill(bench, 100 if args.quick else 400, rounds),
            "versions": versions(),
        }
    put_out(found, args.json)


if __name__ == "__main__":
    main()
