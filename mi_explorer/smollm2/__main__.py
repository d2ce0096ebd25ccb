"""Make the pair that speaks: `python -m mi_explorer.smollm2 all`. Every step is resumable; a finished step is not run again."""

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mi_explorer.paths import ASSETS

ADAPTER = ASSETS / "models" / "smollm2-thinking"
ANSWER_TOKENS = 90
PLAIN_PROBLEMS, PLAIN_TOKENS = 304, 200


def make_instruct(out: Path) -> Path:
    """Instruct's checkpoint, dequantised from the GGUF file in `out`."""
    from mi_explorer.smollm2.instruct import dequantise, find_gguf

    folder = out / "instruct"
    if not (folder / "model.safetensors").exists():
        dequantise(find_gguf(out), folder)
    return folder


def make_answers(out: Path) -> Path:
    """Instruct's own greedy answers to the everyday questions of the training, cut at their last sentence."""
    from mi_explorer.smollm2.everyday import TRAINED

    file = out / "answers.json"
    if not file.exists():
        texts = instruct_responses(out, [q.question for q in TRAINED], temperature=0, cap=ANSWER_TOKENS)
        rows = [[q.question, q.about, t[: t.rfind(".") + 1]] for q, (t, _) in zip(TRAINED, texts) if "." in t]
        file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return file


def make_plain(out: Path) -> Path:
    """Instruct's own responses to problems of the training split, those that it ended itself."""
    from mi_explorer.smollm2.chat_documents import KINDS
    from mi_explorer.smollm2.word_problem import problems_of

    file = out / "plain.json"
    if not file.exists():
        problems = problems_of(KINDS, "train", PLAIN_PROBLEMS, random.Random("plain"))
        texts = instruct_responses(out, [p.question for p in problems], temperature=0.6, cap=PLAIN_TOKENS)
        rows = [[p.question, text] for p, (text, ended) in zip(problems, texts) if ended and text]
        file.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    return file


def instruct_responses(out: Path, questions: Sequence[str], temperature: float, cap: int) -> list[tuple[str, bool]]:
    """(Text, whether it ended by itself within `cap` tokens) for each question."""
    from mi_explorer.generation.snapshots import GenerationRequest
    from mi_explorer.generation.traces.response_trace import Trace
    from mi_explorer.recipe import Decoding, Recipe
    from mi_explorer.workbench import Workbench

    instruct = make_instruct(out)
    last: dict[str, Trace] = {}
    with Workbench.open(f"{instruct}|{instruct}") as bench:
        recipe, decoding = Recipe(bench.pair.name, lam=0), Decoding(temperature=temperature, cap=cap)
        requests = [GenerationRequest(str(i), question, recipe, decoding) for i, question in enumerate(questions)]
        for shots in bench.stream(requests):
            last |= {shot.id: shot.trace for shot in shots}
    return [(last[str(i)].text.strip(), not last[str(i)].truncated) for i in range(len(questions))]


def train_adapter(out: Path, steps: int, start: Path | None, threads: int, compiled: bool) -> None:
    """Train, or go on with a training that was stopped."""
    import torch

    from mi_explorer.smollm2.everyday import Everyday
    from mi_explorer.smollm2.train_adapter import AdapterRun, train_low_rank

    torch.set_num_threads(threads)
    rows = json.loads(make_answers(out).read_text(encoding="utf-8"))
    answers = [(Everyday(question, about), answer) for question, about, answer in rows]
    plain = [(question, text) for question, text in json.loads(make_plain(out).read_text(encoding="utf-8"))]
    plain += [(asked.question, answer) for asked, answer in answers]
    train_low_rank(AdapterRun(steps=steps), make_instruct(out), answers, plain, out / "training", start, compiled)


def write_held_out(split: str, seed: int, count: int, file: Path) -> None:
    """Held-out problems as a task file: id, question, answer, family."""
    from mi_explorer.smollm2.chat_documents import KINDS
    from mi_explorer.smollm2.word_problem import problems_of

    problems = problems_of(KINDS, split, count, random.Random(seed))  # type: ignore[arg-type]
    rows = [
        {"id": f"{split}-{seed}-{i:03d}", "question": p.question, "answer": p.answer, "family": p.kind}
        for i, p in enumerate(problems)
    ]
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def print_everyday(pair: str, lams: Sequence[float], samples: int) -> None:
    """The table of checked everyday questions along λ, a line of JSON for each λ."""
    from mi_explorer.smollm2.evaluate import measure_everyday
    from mi_explorer.smollm2.everyday import CHECKED
    from mi_explorer.workbench import Workbench

    with Workbench.open(pair) as bench:
        for lam in lams:
            (cell,) = measure_everyday(bench, CHECKED, [lam], samples)
            print(json.dumps(asdict(cell)), flush=True)


def smollm2_main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m mi_explorer.smollm2", description=__doc__)
    parser.add_argument("what", choices=("all", "instruct", "answers", "train", "install", "questions", "everyday"))
    parser.add_argument("--out", type=Path, default=Path("build/smollm2"), help="work folder (default build/smollm2)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the training (default 2)")
    parser.add_argument("--steps", type=int, default=1500, help="train: batches of about 2,048 tokens (default 1,500)")
    parser.add_argument("--from-adapter", type=Path, help="train: begin with this adapter instead of nothing")
    parser.add_argument("--compile", action="store_true", help="train: through torch.compile (needs a C++ compiler)")
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="questions: which held-out split")
    parser.add_argument("--seed", type=int, default=1, help="questions: seed")
    parser.add_argument("--count", type=int, default=380, help="questions: how many, the kinds in turn")
    parser.add_argument(
        "--file", type=Path, default=ASSETS / "tasks" / "smollm2.jsonl", help="questions: where to write"
    )
    parser.add_argument("--pair", default="smollm2", help="everyday: which pair")
    parser.add_argument("--lambda", dest="lams", default="0,0.2,0.4,0.6,0.8,1", help="everyday: λ, with commas")
    parser.add_argument("--samples", type=int, default=4, help="everyday: responses to each question")
    options = parser.parse_args(argv)
    if options.what == "questions":
        write_held_out(options.split, options.seed, options.count, options.file)
    elif options.what == "everyday":
        print_everyday(options.pair, [float(lam) for lam in options.lams.split(",")], options.samples)
    elif options.what == "instruct":
        print(make_instruct(options.out))
    elif options.what == "answers":
        print(make_answers(options.out))
    elif options.what == "install":
        shutil.copytree(options.out / "training" / "adapter", ADAPTER, dirs_exist_ok=True)
    else:
        train_adapter(options.out, options.steps, options.from_adapter, options.threads, options.compile)


if __name__ == "__main__":
    smollm2_main()
