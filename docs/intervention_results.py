"""The part of docs/results.md that is about interventions, from the precomputed studies: tables, and sentences that are computed."""

from mi_explorer.studies.report.intervention_tables import (
    GRID_MEASURES,
    answer_rows,
    frontier_rows,
    gap_rows,
    grid_caption,
    grid_rows,
)
from mi_explorer.studies.report.probe_curve import probes_sentence
from mi_explorer.studies.report.probe_table import NOTE, probe_rows
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.stats.summary import Summary, summarise
from mi_explorer.studies.store.bundled import FOLDER
from mi_explorer.studies.store.store import Store

LINE = 140  # characters of a line of prose


def summary_of_file(name: str) -> Summary:
    """A precomputed study in figures."""
    with Store(FOLDER / f"{name}.parquet", readonly=True) as store:
        return summarise(store, name)


def shown(name: str) -> str:
    """The command that prints a section's tables."""
    return f"```sh\npython -m mi_explorer study show {name}\n```"


def size(summary: Summary) -> str:
    """What was measured, in a line."""
    settings = summary.settings
    return (
        f"{settings['questions']} held-out questions × {settings['samples']} samples a cell, temperature 0.6, top-p 0.95, top-k 20, cap "
        f"{summary.rows[0].cell.decoding.cap} tokens, seed 0."
    )


def markdown(records: list[dict[str, str]]) -> str:
    """Records as a Markdown table."""
    return Table.of_records(records).markdown()


def probes_section() -> str:
    """Probes along λ: sufficient, verbose, harmful, switches; forced against free."""
    summary = summary_of_file("mini-probes")
    (probed,) = summary.probes
    last = summary.cells[-1]
    return "\n\n".join(
        [
            "## What the model answers when its thought is stopped",
            shown("mini-probes"),
            f"{size(summary)} Probes: {probed.words}.",
            markdown(probe_rows(summary, probed)),
            NOTE[0].upper() + NOTE[1:],
            probes_sentence(summary.rows, probed),
            "[2604.06613](https://arxiv.org/abs/2604.06613) reports 42 % for the last of these, for its own models and tasks. "
            f"At λ {last['lambda']:g} {100 * last['overthinking']:.0f} % of a right sample's tokens come after its text was first right, "
            f"but {100 * probed.cells[-1].values['verbose'].value:.0f} % after a sufficient prefix.",
        ]
    )


def budgets_section() -> str:
    """λ against a plain thought budget at equal tokens, and the grid of both."""
    summary = summary_of_file("mini-budgets")
    (grid,) = summary.grids
    parts = [
        "## λ against a thought budget",
        shown("mini-budgets"),
        f"{size(summary)} The closing tag is forced when a thought is as long as its budget. Thinking under budgets:",
        markdown(frontier_rows(summary)),
        "λ without a budget against the budget that takes as many tokens (straight lines between the budgets above):",
        markdown(gap_rows(summary)),
        f"**{summary.budget_sentence}**",
        both_sentence(summary),
    ]
    for metric, title in GRID_MEASURES:
        parts += [grid_caption(summary, grid, title), markdown(grid_rows(summary, grid, metric))]
    return "\n\n".join(parts)


def both_sentence(summary: Summary) -> str:
    """Which cells of λ × budget no other beats."""
    assert summary.frontiers is not None
    cells = [summary.rows[i].cell for i in summary.frontiers.both]
    words = (f"λ {c.recipe.lam:g}" + (f" with {b}" if (b := c.decoding.think_budget) else "") for c in cells)
    mixed = sum(c.decoding.think_budget is not None and c.recipe.lam < 1 for c in cells)
    return (
        f"Of all {len(summary.rows)} cells no other beats these in both accuracy and tokens, by their means alone: {', '.join(words)}. "
        f"{mixed} of these {len(cells)} combine a λ below 1 with a budget."
    )


def answers_section() -> str:
    """λ of the thought × λ of the answer."""
    parts = ["## λ of the thought, λ of the answer", shown("mini-answer-lambda")]
    for name, words in (
        ("mini-answer-lambda", "When the thought closes, prompt and response are read again under the answer's λ."),
        ("mini-answer-budget", "The same with the closing tag forced after 40 tokens (`mini-answer-budget`):"),
    ):
        summary = summary_of_file(name)
        (grid,) = summary.grids
        parts.append(f"{size(summary)} {words}")
        for metric, title in GRID_MEASURES:
            parts += [grid_caption(summary, grid, title), markdown(grid_rows(summary, grid, metric))]
        parts += ["Against an answer at the thought's own λ, paired over questions:", markdown(answer_rows(summary))]
    return "\n\n".join(parts)


def intervention_results() -> str:
    """All of it, in Markdown."""
    return "\n\n".join(folded(part) for part in (probes_section(), budgets_section(), answers_section()))


def folded(text: str) -> str:
    """Prose in lines of at most `LINE` characters; tables, headings and code stay as they are."""
    import textwrap

    return "\n\n".join(
        part
        if part.startswith(("|", "#", "```"))
        else textwrap.fill(part, LINE, break_long_words=False, break_on_hyphens=False)
        for part in text.split("\n\n")
    )
