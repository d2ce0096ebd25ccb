"""What endpoints give, in JSON types: the API page shows these fields."""

from typing import TypedDict

from mi_explorer.generation.snapshots import Snapshot
from mi_explorer.studies.jobs import JobState
from mi_explorer.untyped import JsonObject


class ResponseFrame(TypedDict):
    """One response at one λ. `state`: queued, running, done, cancelled, failed; `verdict` (with a gold answer): correct, wrong, no_answer.

    Tokens count thought and answer; `first_correct` is their number when the answer was first right, `overthinking` the share after it.
    """

    lam: float
    state: str
    text: str
    thought: str
    answer_text: str
    answer: str | None
    verdict: str | None
    tokens: int
    think_tokens: int
    think_closed: bool
    truncated: bool
    looped: bool
    first_correct: int | None
    overthinking: float | None
    tokens_per_second: float
    message: str


class RoutedInfo(TypedDict):
    """The λ that a router gives a question; `why` compares `score` with the router's threshold in a sentence."""

    lam: float
    score: float
    why: str


class RecipeForms(TypedDict):
    """One recipe in every form it can be taken away in; `mergekit` is None where mergekit has no such method."""

    hash: str
    yaml: str
    json: str
    query: str
    command: str
    mergekit: str | None


class SweepInfo(TypedDict):
    """A study: `state` is running, paused, stopped, done or saved; `eta` in seconds; `cells` and `stages` as `sweep --json` gives them.

    `token` stops it (`/sweep_stop`); it is given to whoever started it, and to nobody else.
    """

    study: str
    state: str
    done: int
    total: int
    failed: int
    eta: float | None
    message: str
    cells: list[JsonObject]
    stages: JsonObject
    token: str


class PairInfo(TypedDict):
    """A pair of this page; only a loaded one answers. `modules` can be blended in `layers` layers."""

    name: str
    title: str
    loaded: bool
    layers: int
    modules: list[str]
    methods: list[str]


def response_frame(snapshot: Snapshot) -> ResponseFrame:
    """A snapshot in JSON types."""
    t = snapshot.trace
    return {
        "lam": snapshot.recipe.lam,
        "state": snapshot.state,
        "text": t.text,
        "thought": t.thought,
        "answer_text": t.answer_text,
        "answer": t.answer,
        "verdict": snapshot.verdict,
        "tokens": t.tokens,
        "think_tokens": t.think_tokens,
        "think_closed": t.think_closed,
        "truncated": t.truncated,
        "looped": t.looped,
        "first_correct": t.first_correct,
        "overthinking": t.overthinking,
        "tokens_per_second": round(snapshot.tokens_per_second, 1),
        "message": snapshot.message,
    }


def sweep_info(
    name: str, state: JobState | None, done: int, total: int, summary: JsonObject, token: str = ""
) -> SweepInfo:
    """How a study stands: `done` of `total` samples are stored, `state` is its run in this process, if there is one."""
    run = state.progress if state else None
    return {
        "study": name,
        "state": "saved" if run is None else "stopped" if state and state.error else run.state,
        "done": run.done + run.reused if run else done,
        "total": run.total if run and run.total else total,
        "failed": run.failed if run else 0,
        "eta": run.eta if run else None,
        "message": (state.error or run.message) if state and run else "",
        "cells": summary["cells"],
        "stages": summary["stages"],
        "token": token,
    }
