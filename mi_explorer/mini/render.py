"""Solutions as text: short (one line), worked (visible steps) and thought (a `<think>` part with checks), and fact lists.

A text is a list of pieces (text, learn): planted slips are shown to the model but left out of its loss, so that it learns
to find and mend them without learning to make them. Every text depends on its random generator alone.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mi_explorer.mini.problem import Problem, Redraw, step_values

Pieces = list[tuple[str, bool]]
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
Check = Callable[[Problem, random.Random], str]  # one check of a solution, as a sentence
INVERSE = {"+": "-", "-": "+", "*": "/", "/": "*"}
INTROS = ("Okay, let me think.", "Let me think about this.", "Okay, let me see.", "Let me work this out.")


@dataclass(frozen=True)
class Style:
    """How often a solution is short, worked or thought, how many checks a thought has, and how often it holds a slip."""

    short: float
    worked: float
    thought: float
    checks: tuple[float, ...] = (1.0,)  # weights of 0, 1, 2, … checks
    slip: float = 0.0


def render_solution(problem: Problem, style: Style, rng: random.Random) -> Pieces:
    """One response to the problem in a drawn style, without chat markup."""
    kind = rng.choices((short, worked, None), (style.short, style.worked, style.thought))[0]
    if kind:
        return kind(problem)
    checks = rng.choices(range(len(style.checks)), style.checks)[0]
    return thought(problem, checks, rng, slip=rng.random() < style.slip)


def final_line(problem: Problem) -> str:
    return f"The answer is {problem.answer}."


def short(problem: Problem) -> Pieces:
    """The one-line answer: everything computed in one go."""
    return [(f"So {problem.short}. {final_line(problem)}", True)]


def worked(problem: Problem) -> Pieces:
    """Visible steps without a thought; a search family can only state its guess with the proof."""
    if problem.searches:
        parts = [problem.proof.rstrip(".")]
    elif problem.lines:
        parts = [line.rstrip(".") for line in problem.lines]
        parts = [p[0].lower() + p[1:] if p.split()[0] in ("After", "So") else p for p in parts]
    else:
        parts = [f"{a} {s.op} {b} = {c}" for s, (a, b, c) in zip(problem.steps, step_values(problem.steps))]
    return [(f"First, {'. Then '.join(parts)}. {final_line(problem)}", True)]


def thought(problem: Problem, checks: int, rng: random.Random, slip: bool = False) -> Pieces:
    """A thought with a first pass and `checks` checks, then the answer; a slip adds the check that mends it."""
    pieces: Pieces = [(f"{THINK_OPEN}\n{rng.choice(INTROS)}", True)]
    wrong = plant(problem, rng) if slip else None
    if problem.steps:
        pieces += first_pass(problem, wrong)
    else:
        pieces.append((" " + " ".join(problem.trials or problem.lines), True))
    result = str(step_values(problem.steps, wrong)[-1][2]) if problem.steps else problem.answer
    pieces.append((f" So the answer is {result}.", True))
    if wrong:
        pieces.append((f"\n{redo(problem, wrong)}", True))
    last = None
    for _ in range(checks):
        last = rng.choice([c for c in applicable(problem) if c is not last])
        pieces.append((f"\n{last(problem, rng)}", True))
    pieces.append((f"\n{THINK_CLOSE}\n{final_line(problem)}", True))
    return pieces


def plant(problem: Problem, rng: random.Random) -> tuple[int, int] | None:
    """A wrong result for one step that changes the answer and keeps every later step possible; None if there is none."""
    if not problem.steps:
        return None
    done = step_values(problem.steps)
    at = rng.randrange(len(done))
    for delta in rng.sample((-10, -2, -1, 1, 2, 10), 6):
        try:
            if step_values(problem.steps, (at, done[at][2] + delta))[-1][2] != done[-1][2]:
                return at, done[at][2] + delta
        except Redraw:
            continue
    return None


def first_pass(problem: Problem, wrong: tuple[int, int] | None) -> Pieces:
    pieces: Pieces = []
    for i, (step, (a, b, c)) in enumerate(zip(problem.steps, step_values(problem.steps, wrong))):
        before, after = step.say.split("{}")
        if wrong and wrong[0] == i:
            pieces += [(f" {before}{a} {step.op} {b} =", True), (f" {c}", False), (after, True)]
        else:
            pieces.append((f" {before}{a} {step.op} {b} = {c}{after}", True))
    return pieces


def redo(problem: Problem, wrong: tuple[int, int] | None = None) -> str:
    """The whole computation once more; names the slip where it finds one."""
    parts = [
        f"{a} {s.op} {b} = {c}" + (f", not {wrong[1]}" if wrong and wrong[0] == i else "")
        for i, (s, (a, b, c)) in enumerate(zip(problem.steps, step_values(problem.steps)))
    ]
    return f"Wait, let me check. {'. '.join(parts)}. So the answer is {problem.answer}."


def check_redo(problem: Problem, rng: random.Random) -> str:
    return redo(problem)


def check_undo(problem: Problem, rng: random.Random) -> str:
    a, b, c = step_values(problem.steps)[-1]
    return f"Let me double-check the last step. {c} {INVERSE[problem.steps[-1].op]} {b} = {a}. Yes, the answer is {problem.answer}."


def check_read(problem: Problem, rng: random.Random) -> str:
    return f"Hmm, let me read the question again. It asks {problem.asks}. So the answer is {problem.answer}."


def check_swap(problem: Problem, rng: random.Random) -> str:
    step, (a, b, c) = problem.steps[-1], step_values(problem.steps)[-1]
    other = (
        f"{b} {step.op} {a} = {c}" if step.op in "+*" else f"{a} - {c} = {b}" if step.op == "-" else f"{c} + {c} = {a}"
    )
    return f"Alternatively, {other}. That fits. The answer is {problem.answer}."


def check_proof(problem: Problem, rng: random.Random) -> str:
    return f"Wait, let me check. {problem.proof} Yes, the answer is {problem.answer}."


def check_lines(problem: Problem, rng: random.Random) -> str:
    return f"Alternatively, step by step again. {' '.join(problem.lines)} So the answer is {problem.answer}."


def check_others(problem: Problem, rng: random.Random) -> str:
    return f"Alternatively, maybe another one fits. {rng.choice(problem.others)} No, the answer is {problem.answer}."


def applicable(problem: Problem) -> Sequence[Check]:
    """The checks that make sense for a problem; at least two, so that none comes twice in a row."""
    if problem.steps:
        undo = [check_undo] if problem.steps[-1].op != "*" or step_values(problem.steps)[-1][1] else []
        return [check_redo, check_read, check_swap, *undo]
    if problem.lines:
        return [check_proof, check_read, check_lines]
    return [check_proof, check_read] + ([check_others] if problem.others else [])


def facts(rng: random.Random, count: int) -> Pieces:
    """A list of single facts: sums and differences to 999, products, divisions with remainder, comparisons."""
    lines = []
    for _ in range(count):
        kind = rng.choices("+-*%t", (3, 5, 2, 2, 0.5))[0]
        if kind in "+-":
            top = rng.choice((30, 99, 99, 300, 600))
            a, b = rng.randint(1, top), rng.randint(1, rng.choice((20, 99, top)))
            if kind == "+":
                lines.append(f"{a} + {b} = {a + b}")
            else:
                a, b = max(a, b), min(a, b)
                lines.append(f"{a} - {b} = {a - b}")
        elif kind == "*":
            a, b = rng.choice(
                (
                    (rng.randint(1, 20), rng.randint(1, 20)),
                    (rng.randint(1, 12), rng.randint(1, 25)),
                    (rng.randint(2, 40), rng.choice((7, 12))),
                    (rng.randint(2, 9), rng.choice((24, 60, 100))),
                    (rng.randint(2, 150), 2),
                )
            )
            lines.append(f"{a} * {b} = {a * b}")
        elif kind == "%":
            m = rng.randint(2, 10)
            c = rng.randint(2, 150)
            lines.append(f"{c} = {c // m} * {m} + {c % m}")
        else:
            at, more = rng.randint(5 * 12, 23 * 12) * 5, rng.randint(1, 11) * 5
            lines.append(
                f"{at // 60 % 24}:{at % 60:02d} plus {more} minutes is {(at + more) // 60 % 24}:{(at + more) % 60:02d}"
            )
    return [(". ".join(lines) + ".", True)]
