"""Make the embedded trio: `python -m mi_explorer.mini all`. Every step is resumable; a finished step is not run again."""

import argparse
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mi_explorer.mini.families import distinct_problems, problem_stream
from mi_explorer.mini.render import Style, render_solution
from mi_explorer.mini.runs import ROLES
from mi_explorer.paths import ASSETS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_PROBLEMS = 6000  # problems whose text trains the tokenizer


def make_tokenizer(out: Path) -> "Tokenizer":
    """Train the tokenizer, or read the one that is there."""
    from tokenizers import Tokenizer

    from mi_explorer.mini.tokenizer import train_tokenizer

    file = out / "tokenizer.json"
    if not file.exists():
        rng, problems, texts = random.Random(0), problem_stream(0, "train"), []
        for _ in range(TOKENIZER_PROBLEMS):
            problem = next(problems)
            solution = "".join(t for t, _ in render_solution(problem, Style(1, 1, 2, (1, 1, 1, 1), 0.1), rng))
            texts += [problem.question, solution.replace("<think>", "").replace("</think>", "")]
        out.mkdir(parents=True, exist_ok=True)
        train_tokenizer(texts).save(str(file))
    return Tokenizer.from_file(str(file))


def train_role(role: str, out: Path, threads: int) -> None:
    """Train one model of the trio from its start, unless it is there."""
    import torch

    from mi_explorer.mini.train import save, train

    folder = out / role
    if (folder / "model.safetensors").exists():
        print(f"{role}: there already; remove {folder} to train it again")
        return
    if role != "base" and not (out / "base" / "model.safetensors").exists():
        raise SystemExit(f"{role} starts from the base. Run first: python -m mi_explorer.mini base --out {out}")
    torch.set_num_threads(threads)
    tokenizer = make_tokenizer(out)
    start = None if role == "base" else out / "base"
    for number, run in enumerate(ROLES[role]):
        step = folder if run is ROLES[role][-1] else out / "steps" / f"{role}-{number}"
        if not (step / "model.safetensors").exists():
            save(train(run, tokenizer, out / "logs" / f"{role}-{number}", start=start), tokenizer, step)
        start = step


def write_questions(split: str, seed: int, count: int, file: Path) -> None:
    """Held-out questions as a task file: id, question, answer, family, level."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as out:
        for i, p in enumerate(distinct_problems(seed, split, count)):  # type: ignore[arg-type]
            row = {
                "id": f"{split}-{seed}-{i:03d}",
                "question": p.question,
                "answer": p.answer,
                "family": p.family,
                "level": p.level,
            }
            out.write(json.dumps(row) + "\n")


def write_cards(out: Path, results: Path | None) -> None:
    """The README.md of every model that is there; `results` is the object that `sweep --json` printed."""
    from safetensors import safe_open

    from mi_explorer.mini.model_cards import card, runs_text, seconds_of

    found = json.loads(results.read_text()) if results else None
    for role, runs in ROLES.items():
        folder = out / role
        with safe_open(folder / "model.safetensors", "pt") as file:
            parameters = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118 (the file is no mapping)
        seconds = [seconds_of(out / "logs" / f"{role}-{number}" / "log.jsonl") for number in range(len(runs))]
        (folder / "README.md").write_text(card(role, runs, seconds, parameters, found), encoding="utf-8")
        (folder / "run.json").write_text(runs_text(runs), encoding="utf-8")


def install(out: Path) -> None:
    """Copy the finished trio to where the product reads it."""
    for role in ROLES:
        shutil.copytree(out / role, ASSETS / "models" / "mini" / role, dirs_exist_ok=True)


def mini_main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m mi_explorer.mini", description=__doc__)
    parser.add_argument("what", choices=("all", *ROLES, "questions", "cards", "install"))
    parser.add_argument("--out", type=Path, default=Path("build/mini"), help="work folder (default build/mini)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of the training (default 2)")
    parser.add_argument("--split", choices=("dev", "test"), default="test", help="questions: which held-out split")
    parser.add_argument("--seed", type=int, default=2, help="questions: seed")
    parser.add_argument("--count", type=int, default=400, help="questions: how many")
    parser.add_argument(
        "--file", type=Path, default=ASSETS / "tasks" / "mini.jsonl", help="questions: where to write them"
    )
    parser.add_argument(
        "--results", type=Path, help="cards: the JSON object that `python -m mi_explorer sweep … --json` ended with"
    )
    options = parser.parse_args(argv)
    if options.what == "questions":
        write_questions(options.split, options.seed, options.count, options.file)
    elif options.what == "cards":
        write_cards(options.out, options.results)
    elif options.what == "install":
        install(options.out)
    else:
        for role in ROLES if options.what == "all" else (options.what,):
            train_role(role, options.out, options.threads)
        if options.what == "all":
            write_cards(options.out, options.results)
            print(f"The trio is in {options.out}. `python -m mi_explorer.mini install` puts it into assets/.")


if __name__ == "__main__":
    mini_main()
