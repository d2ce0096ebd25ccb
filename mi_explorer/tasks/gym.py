"""reasoning-gym (Apache-2.0): procedural puzzles with scorers. Any of its tasks by name with the extra; a frozen sample without.

Its scorers give partial credit even to a sentence around the right number, so the answer is extracted first and counts only
from 0.99 on. Items are drawn with `Random(seed + index)`, so seeds are spread far apart here.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from mi_explorer.errors import unknown
from mi_explorer.tasks.check_process import CheckUnavailable
from mi_explorer.tasks.task import ASSETS, Question, Task, TaskError
from mi_explorer.tasks.task_files import from_file
from mi_explorer.tasks.verify import kind_of
from mi_explorer.untyped import JsonObject

PREFIX = "reasoning_gym:"
SUFFIX = "\n\nThink first if you need to, then give the answer alone between <answer> and </answer>."
EXTRA = "This task needs the package reasoning-gym: pip install 'reasoning-gym>=0.1.25' (one of its parts needs a C compiler)."
LICENCE = "Apache-2.0 (generated with reasoning-gym, github.com/open-thought/reasoning-gym)"
CREDIT = 0.99
SIZE = 100
SPREAD = 1_000_003  # between the item seeds of two seeds of ours
UNSTABLE = ("codeio", "isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note", "word_ladder")
FROZEN = (
    "base_conversion", "basic_arithmetic", "calendar_arithmetic", "chain_sum", "count_bits", "family_relationships",
    "gcd", "gsm_symbolic", "lcm", "leg_counting", "letter_counting", "number_sequence", "products", "spell_backward", "syllogism",
)  # fmt: skip
FROZEN_SEED, FROZEN_EACH = 20_250, 12


def load_frozen(seed: int = 0, path: str | Path | None = None) -> Task:
    """The sample that ships with the package: tasks with one right answer each, so that no extra is needed to score them."""
    task = from_file(
        Path(path) if path else ASSETS / "reasoning_gym.jsonl",
        name="reasoning_gym",
        title="reasoning-gym (frozen sample)",
    )
    return replace(task, suffix=SUFFIX, licence=LICENCE, source="reasoning-gym 0.1.25")


def load_generated(name: str, seed: int = 0, size: int | None = None) -> Task:
    """`size` fresh items of one reasoning-gym task. The gold answer names the item; the scorer makes it again."""
    base = (seed + 1) * SPREAD
    questions = []
    for i, entry in enumerate(_items(name, base, size or SIZE)):
        gold = json.dumps(
            {"task": name, "seed": base, "index": i, "answer": entry["answer"]}, ensure_ascii=False, default=str
        )
        questions.append(Question(f"{name}-{base}-{i}", entry["question"], gold, name, kind="reasoning_gym"))
    return Task(PREFIX + name, tuple(questions), SUFFIX, LICENCE, "reasoning-gym", title=f"reasoning-gym: {name}")


def _items(name: str, seed: int, size: int) -> Iterator[JsonObject]:
    try:
        from reasoning_gym import create_dataset
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise TaskError(EXTRA) from None
    if name not in DATASETS or name == "composite":
        raise unknown("reasoning-gym task", name, set(DATASETS) - {"composite"})
    if name in UNSTABLE:
        raise TaskError(
            f"reasoning-gym's {name} gives other items in every process, so results could not be repeated. Take another."
        )
    data = create_dataset(name, size=size, seed=seed)
    return (data[i] for i in range(size))


def gym_checker() -> Callable[[str, str], bool]:
    """In the check process: (gold, answer) -> full credit by the task's own scorer."""
    try:
        from reasoning_gym import create_dataset
    except ImportError:
        raise CheckUnavailable(EXTRA) from None

    def check(gold: str, answer: str) -> bool:
        item = json.loads(gold)
        data = create_dataset(item["task"], size=item["index"] + 1, seed=item["seed"])
        return float(data.score_answer(answer, data[item["index"]])) >= CREDIT

    return check


def freeze(path: Path) -> int:
    """Write the frozen sample; returns the number of items. Needs the extra."""
    rows = []
    for name in FROZEN:
        for i, entry in enumerate(_items(name, FROZEN_SEED * SPREAD, FROZEN_EACH)):
            answer = str(entry["answer"]).strip()
            kind = kind_of(answer) if kind_of(answer) == "number" else "text"
            rows.append(
                {
                    "id": f"{name}-{i}",
                    "question": entry["question"].strip(),
                    "answer": answer,
                    "family": name,
                    "kind": kind,
                }
            )
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return len(rows)


if __name__ == "__main__":
    print(freeze(ASSETS / "reasoning_gym.jsonl"), "items written")
