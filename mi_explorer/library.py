"""The library's verbs: blend, generate, strip, route, probe, sweep, export. Each takes a `Recipe` and gives values.

A recipe names its pair by preset or as `"instruct|thinking[|base]"`. Without `bench`, a call that generates opens the pair and
closes it again; for more than one call, open it once:

    with Workbench.open("mini") as bench:
        short, long = (generate("What is 3 + 4 * 5?", Recipe(lam=lam), bench=bench) for lam in (0.2, 1))

Everything that is wrong from outside is a `UserError`. No page here, and nothing heavy before a function is called. Nothing of the
process is changed either; a program that sweeps for long may call `machine.own_process()` first.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.recipe import Decoding, Recipe
from mi_explorer.studies.plan import parse_lambdas

if TYPE_CHECKING:
    from mi_explorer.generation.probe_points import ProbedTrace
    from mi_explorer.merging.blend import PairBlend
    from mi_explorer.merging.export import Exported
    from mi_explorer.search.router import RoutedLambda
    from mi_explorer.studies.runner import Event
    from mi_explorer.studies.stats.summary import Summary
    from mi_explorer.workbench import Workbench

GRID = "0:1:0.1"
AUTO = "auto"  # among λs: the one that a router chooses


class LibraryError(UserError):
    """A call that could not be carried out to its end."""


@contextmanager
def opened(bench: "Workbench | None", pair: str) -> Iterator["Workbench"]:
    """The given workbench (left open), or one of the pair for the time of the block."""
    if bench is not None:
        yield bench
        return
    from mi_explorer.workbench import Workbench

    with Workbench.open(pair) as new:
        yield new


def lambdas(lams: str | Iterable[float]) -> tuple[float, ...]:
    """λs of `"0:1:0.1"`, `"0,0.4,1"` or numbers, each once; raises `UserError` for anything that is no λ."""
    texts = [lams] if isinstance(lams, str) else [repr(float(x)) for x in lams]
    return tuple(dict.fromkeys(lam for text in texts for lam in parse_lambdas(text)))


def generate(
    prompt: str,
    recipe: Recipe | None = None,
    *,
    decoding: Decoding | None = None,
    gold: str | None = None,
    kind: str = "auto",
    router: str | None = None,
    bench: "Workbench | None" = None,
) -> Snapshot:
    """Answer one prompt with one blend. The result has `.trace` (text, thought, answer, tokens, …) and, with `gold`, `.verdict`.

    `router` (see `route`) chooses λ in the recipe's place.
    """
    recipe = recipe or Recipe()
    lams: str | list[float] = [recipe.lam] if router is None else AUTO
    return strip(
        prompt, recipe, lams=lams, decoding=decoding, gold=gold, kind=kind, router=router or AUTO, bench=bench
    )[0]


def route(
    prompt: str, recipe: Recipe | None = None, *, router: str = "auto", bench: "Workbench | None" = None
) -> "RoutedLambda":
    """The λ that a router gives a prompt on the recipe's pair: `.lam`, `.score`, and `.why` in a sentence.

    `router`: "confidence"; "auto", the pair's own if it comes with one, else confidence; or a file of `search route`.
    """
    from mi_explorer.search.line_samples import route_question
    from mi_explorer.search.router import load_router

    with opened(bench, (recipe or Recipe()).pair) as pair:
        return route_question(load_router(router, pair.pair.name), pair, prompt)


def strip(
    prompt: str,
    recipe: Recipe | None = None,
    *,
    lams: str | Iterable[float] = GRID,
    decoding: Decoding | None = None,
    gold: str | None = None,
    kind: str = "auto",
    router: str = "auto",
    bench: "Workbench | None" = None,
) -> tuple[Snapshot, ...]:
    """Answer one prompt at every λ, all in one batch; finished traces in the order of the λs. "auto" among them is chosen by `router`.

    Raises `UserError` for bad input, and `LibraryError` where a λ could not run. To watch traces grow use `Workbench.stream`.
    """
    recipe, decoding = recipe or Recipe(), decoding or Decoding()
    words = [word.strip() for word in lams.split(",")] if isinstance(lams, str) else lams
    given: list[str | tuple[float, ...]] = [
        AUTO if word == AUTO else lambdas(word if isinstance(word, str) else [word]) for word in words
    ]
    with opened(bench, recipe.pair) as pair:
        chosen = (route(prompt, recipe, router=router, bench=pair).lam,) if AUTO in given else ()
        grid = dict.fromkeys(lam for part in given for lam in (chosen if isinstance(part, str) else part))
        requests = [
            GenerationRequest(str(i), prompt, recipe.at(lam), decoding, gold, kind) for i, lam in enumerate(grid)
        ]
        last: dict[str, Snapshot] = {}
        for changed in pair.stream(requests):
            last |= {snapshot.id: snapshot for snapshot in changed}
    for snapshot in last.values():
        if snapshot.state == "failed":
            raise LibraryError(f"λ {snapshot.recipe.lam:g} could not run: {snapshot.message}")
    return tuple(last[request.id] for request in requests)


def probe(
    prompt: str,
    recipe: Recipe | None = None,
    *,
    gold: str,
    points: int = 12,
    at: Iterable[int] = (),
    at_lambda: float | None = None,
    samples: int = 0,
    free: int = 0,
    max_answer_tokens: int = 64,
    decoding: Decoding | None = None,
    kind: str = "auto",
    bench: "Workbench | None" = None,
) -> "ProbedTrace":
    """Answer a prompt, then ask what the blend would have answered had its thought stopped earlier: `.points`, `.sufficient`, `.verbose`,
    `.harmful`, `.switches` (see `generation.probes`).

    At the ends of up to `points` sentences, or after the tokens `at`, the thought is closed and answered greedily; `samples` are drawn
    beside that, and `free` continuations go on from there, at the recipe's λ or `at_lambda`.
    """
    from mi_explorer.generation.probe_points import ProbeOptions
    from mi_explorer.generation.probes import ProbeTarget, run_probe

    recipe = recipe or Recipe(lam=1.0)
    options = ProbeOptions(points, tuple(at), at_lambda, samples, free, max_answer_tokens)
    with opened(bench, recipe.pair) as pair:
        snapshot = generate(prompt, recipe, decoding=decoding, gold=gold, kind=kind, bench=pair)
        return run_probe(pair.generator, ProbeTarget.of(snapshot, prompt, gold, kind), options)


def sweep(
    task: str | Path = "mini",
    recipe: Recipe | None = None,
    *,
    lams: str | Iterable[float] = GRID,
    questions: int = 100,
    samples: int = 4,
    decoding: Decoding | None = None,
    refine: int = 0,
    name: str | None = None,
    home: str | Path | None = None,
    bench: "Workbench | None" = None,
    watch: "Callable[[Event], None] | None" = None,
) -> "Summary":
    """Measure a λ grid on a task: accuracy, tokens, think ratio, each with its interval, and the stages (`Summary.json()`).

    Every finished sample is saved in the store of `home` (default: the user's), so that a call that was interrupted goes on
    where it stopped, and one with more λs, questions or samples adds what is missing. `task` is a name or a .jsonl or .csv
    file, `refine` the most rounds of λs added at the transition, and `watch` sees the runner's events.
    """
    from mi_explorer.studies.plan import Plan, grid
    from mi_explorer.studies.progress import Progress
    from mi_explorer.studies.refine import next_cells
    from mi_explorer.studies.runner import Runner, items_of
    from mi_explorer.studies.stats.summary import summarise
    from mi_explorer.studies.store.store import Store
    from mi_explorer.tasks import load_task

    recipe, decoding = recipe or Recipe(), decoding or Decoding()
    plan_lams = lambdas(lams)
    items = items_of(load_task(task, questions))
    plan = Plan(str(task), grid(recipe, plan_lams, decoding), len(items), samples, command="mi_explorer.sweep(…)")
    with opened(bench, recipe.pair) as pair, Store.open(home) as store:
        runner = Runner(store, plan, items, lambda _: pair, name=name, refine=refine, next_cells=next_cells)
        last = None
        for event in runner.run():
            last = event if isinstance(event, Progress) else last
            if watch is not None:
                watch(event)
        if last is not None and last.failed:
            raise LibraryError(
                f"{last.failed:,} samples failed ({last.message}). What was finished is saved: call again to make the rest."
            )
        return summarise(store, runner.name, [row.key for row in runner.cells], items, plan.samples)


def blend(recipe: Recipe, pair: Pair | None = None) -> "PairBlend":
    """The blend's tensors, made when asked for: `.names()`, `.tensor(name)`, and per tensor `.coefficients(name)` = (a, b).

    `pair` where the recipe's name is not enough (a LoRA parent, an untied head).
    """
    from mi_explorer.checkpoints.parents import Parents
    from mi_explorer.merging.blend import bind

    if recipe.answer_lam is not None:
        raise LibraryError(
            f"This recipe is two blends, λ {recipe.lam:g} for the thought and λ {recipe.answer_lam:g} for the answer, and a "
            "checkpoint holds one. Take recipe.for_thought or recipe.for_answer."
        )
    parents = Parents.open(pair or get_pair(recipe.pair))
    return bind(recipe if pair is None else replace(recipe, pair=pair.name), parents)


def export(
    recipe: Recipe, out: str | Path, pair: Pair | None = None, *, progress: Callable[[int, int], None] | None = None
) -> "Exported":
    """Write the blend as a checkpoint folder in its parents' layout (new or empty `out`), read back and checked; see `merging.export`."""
    from mi_explorer.merging.export import export_checkpoint

    return export_checkpoint(blend(recipe, pair), out, progress=progress)
