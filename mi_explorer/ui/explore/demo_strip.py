"""The strip that the page opens on: computed beforehand, labelled as such, kept in assets/strips/PRESET.json.

`python -m mi_explorer.ui.explore.demo_strip --pair PRESET` makes one: it runs strips of a few held-out questions of the pair's task and
keeps the one that shows the change best (`demo_score`). Where a preset's files lie elsewhere, `--pair FOLDERS --name PRESET`. The file
holds token ids too, so that the lenses work on it without a run. A file that is there is shown: on the page of its pair, and in the
gallery of pairs, where it is dragged before anything is loaded.
"""

import argparse
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mi_explorer import __version__
from mi_explorer.errors import UserError
from mi_explorer.generation.snapshots import GenerationRequest, Snapshot
from mi_explorer.generation.traces import trace_of
from mi_explorer.pairs import read_presets
from mi_explorer.paths import ASSETS
from mi_explorer.recipe import Decoding
from mi_explorer.studies.stats.mentions import mentions_answer
from mi_explorer.tasks.task import Question
from mi_explorer.ui.explore import board
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.strip_sentence import strip_bands, strip_sentence
from mi_explorer.untyped import JsonObject
from mi_explorer.workbench import Workbench

STRIPS_FOLDER = ASSETS / "strips"
DEMO_TOKEN = "demostrip"
PRESET = re.compile(r"[\w.-]{1,100}")
log = logging.getLogger(__name__)


def demo_score(frames: Sequence[JsonObject], gold: str) -> float:
    """How well a strip shows the subject: all stages, an Instruct that errs (and not only in form), a Thinking that is right and goes on,
    varied traces."""
    spans = strip_bands(frames)
    first, last = frames[0], frames[-1]
    points = 3.0 * (len(spans) == 3) + (first["verdict"] == "wrong") + 2.0 * (last["verdict"] == "correct")
    points -= 2.0 * (first["verdict"] != "correct" and mentions_answer(gold, first["answer"]))
    points += min(1.0, last["tokens"] / max(1, first["tokens"]) / 6)
    points -= 2.0 * sum(f["truncated"] or f["looped"] for f in frames) / len(frames)
    points += 2.0 * len({(f["thought"], f["answer"]) for f in frames}) / len(frames)
    right = sum(f["verdict"] == "correct" for f in frames) / len(frames)
    return points + (right if right < 1 else 0.5)


def run_question(bench: Workbench, question: Question, decoding: Decoding) -> tuple[views.View, dict[str, Snapshot]]:
    """The finished traces of one question over the λ grid."""
    view = views.view_of_dict(
        {
            **views.view_dict(views.View(decoding=decoding)),
            "pair": bench.pair.name,
            "q": question.text,
            "gold": question.gold,
        }
    )
    asks = [
        GenerationRequest(board.frame_id(x), view.prompt, view.recipe(x), decoding, view.gold)
        for x in board.STRIP_LAMBDAS
    ]
    last: dict[str, Snapshot] = {}
    for changed in bench.stream(asks):
        last |= {s.id: s for s in changed}
    return view, last


def make_demo_strip(bench: Workbench, questions: Sequence[Question], decoding: Decoding) -> JsonObject:
    """The best strip of these questions as the content of a strip file."""
    best: tuple[float, JsonObject] | None = None
    for question in questions:
        view, snapshots = run_question(bench, question, decoding)
        frames = board.strip_frames([snapshots[board.frame_id(x)] for x in board.STRIP_LAMBDAS])
        content = {
            "made_by": f"python -m mi_explorer.ui.explore.demo_strip (version {__version__})",
            "weights": bench.fingerprint,
            "chosen_from": len(questions),
            "view": views.view_dict(view),
            "frames": [f | {"tps": 0} for f in frames],
            "ids": {
                k: {"ids": s.ids, "prompt_ids": s.prompt_ids, "finish": s.trace.finish} for k, s in snapshots.items()
            },
        }
        if best is None or demo_score(frames, view.gold) > best[0]:
            best = (demo_score(frames, view.gold), content)
    if best is None:
        raise UserError("There are no questions to make a strip of.")
    return best[1]


def has_demo_strip(pair: str, folder: Path = STRIPS_FOLDER) -> bool:
    """Whether there is a strip file of a preset; a pair that is named otherwise has none."""
    return bool(PRESET.fullmatch(pair)) and (folder / f"{pair}.json").is_file()


def load_demo_strip(pair: str, folder: Path = STRIPS_FOLDER) -> JsonObject | None:
    """The strip file of a preset, or None if there is none that can be read."""
    if not has_demo_strip(pair, folder):
        return None
    try:
        return json.loads((folder / f"{pair}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        log.warning("The precomputed strip of %s cannot be read: %s", pair, error)
        return None


def demo_state(content: JsonObject, weights: str) -> JsonObject:
    """The strip as the page holds it; says so when it was made with other weights than `weights`."""
    frames, d = content["frames"], content["view"]
    label = f"Precomputed example, chosen from {content['chosen_from']} to show the change · n = 1 per λ · T {d['t']} · seed {d['seed']}"
    if content["weights"] != weights:
        label = "Precomputed with other weights than those loaded; run to renew"
    return {
        "token": DEMO_TOKEN,
        "label": label,
        "view": d,
        "frames": {f["id"]: f for f in frames},
        "sentence": strip_sentence(frames),
        "bands": strip_bands(frames),
    }


def preview_strip(pair: str) -> JsonObject | None:
    """The strip of a preset of which nothing is loaded, as it was made; None where there is none."""
    content = load_demo_strip(pair)
    return demo_state(content, content["weights"]) if content else None


def embedded_demo() -> JsonObject | None:
    """The embedded pair's strip, as a picture of the subject for a pair that has none of its own."""
    return preview_strip("mini")


def demo_snapshots(content: JsonObject, bench: Workbench) -> Iterator[Snapshot]:
    """The strip's traces as the engine would have given them, for the lenses; none if the weights are others."""
    if content["weights"] != bench.fingerprint:
        return
    view = views.view_of_dict(content["view"])
    for frame in content["frames"]:
        held = content["ids"][frame["id"]]
        trace = trace_of(held["ids"], bench.prompts.decode, bench.tags, held["finish"], view.gold)
        yield Snapshot(
            frame["id"],
            view.recipe(frame["lam"]),
            view.decoding,
            "done",
            trace,
            frame["verdict"],
            prompt_ids=tuple(held["prompt_ids"]),
        )


def _main() -> None:
    """Make the strip of a pair and write it."""
    parser = argparse.ArgumentParser(description="Precompute the strip that the page opens on.")
    parser.add_argument("--pair", default="mini", help="a preset, or 'instruct|thinking[|base]'")
    parser.add_argument("--name", help="the preset whose strip it is, where --pair names folders")
    parser.add_argument("--task", help="whose questions are chosen from; the pair's own by default")
    parser.add_argument("--questions", type=int, default=48, help="how many held-out questions to choose from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cap", type=int, default=Decoding().cap, help="most tokens of a response")
    args = parser.parse_args()
    name = args.name or args.pair
    if name not in read_presets():
        parser.error(f"a strip belongs to a preset of assets/pairs.yaml, and {name[:60]!r} is none; give --name")
    from mi_explorer.tasks import load_task
    from mi_explorer.workbench import Workbench

    with Workbench.open(args.pair) as bench:
        task = load_task(args.task or bench.pair.task, args.questions, args.seed)
        content = make_demo_strip(bench, task.questions, Decoding(cap=args.cap))
    content["view"]["pair"] = name
    STRIPS_FOLDER.mkdir(parents=True, exist_ok=True)
    (STRIPS_FOLDER / f"{name}.json").write_text(
        json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    print(f"assets/strips/{name}.json: {content['view']['q']}\n{strip_sentence(content['frames'])}")


if __name__ == "__main__":
    _main()
