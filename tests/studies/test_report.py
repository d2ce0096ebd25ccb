"""Results: the paper's own tables, the table renderer, and claims that hold, fail and stay open where the samples say so."""

import numpy as np
import pytest
from scipy.special import expit

from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies.plan import Cell, Plan
from mi_explorer.studies.report.published import TABLES, dynamics, published, source
from mi_explorer.studies.report.results import cell_name, efficiency_rows, paper_table, parts_table
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.stats.claims import Claim, claims_sentence
from mi_explorer.studies.stats.summary import summary_of
from mi_explorer.studies.store.store import CellRow, StudyInfo
from tests.expected import CELL_KEYS, numbers_in


def made(kind, plan, questions=80, samples=4, all_cells=()):
    """A summary of cells given as (Cell, accuracy, tokens, think ratio)."""
    rng, rows = np.random.default_rng(2), []
    for i, (_, accuracy, tokens, thinks) in enumerate(plan):
        for q in range(questions):
            for k in range(samples):
                verdict, tokens_here = (
                    "correct" if rng.random() < accuracy else "wrong",
                    int(tokens + rng.integers(-3, 4)),
                )
                rows.append({"cell": f"k{i}", "item": f"q{q}", "number": k, "verdict": verdict, "answer": str(rng.integers(0, 9)),
                             "tokens": tokens_here, "think_closed": bool(rng.random() < thinks)})  # fmt: skip
    cells = tuple(all_cells or (p[0] for p in plan))
    info = StudyInfo(1, "s", Plan("sums", cells, questions, samples, kind), "live", "", 0.0, 0.0, len(rows))
    return summary_of(info, [CellRow(f"k{i}", cell, "f", "bfloat16") for i, cell in enumerate(cells)], rows), rows


LAMS = [i / 10 for i in range(11)]
PAPER_LIKE = [
    (Cell(Recipe(lam=lam)), a, t, float(expit((lam - 0.45) / 0.04)))
    for lam, a, t in zip(
        LAMS,
        [0.4, 0.45, 0.55, 0.65, 0.75, 0.85, 0.9, 0.93, 0.95, 0.95, 0.95],
        [25, 28, 32, 40, 60, 90, 110, 125, 140, 170, 200],
    )
]


@pytest.fixture(scope="module")
def sweep():
    return made("sweep", PAPER_LIKE)[0]


def test_the_table_is_the_paper_s(sweep):
    table = paper_table(sweep)
    assert list(table[0]) == ["", "Mean@4", "Pass@4", "Vote@4", "Tokens", "Think %", "Truncated %", "n"]
    assert [row[""] for row in table] == [f"λ {lam:g}" for lam in LAMS]
    assert table[0]["n"] == "80 × 4"
    row = sweep.measures.row(3)
    assert (
        table[3]["Mean@4"] == f"{100 * row['mean']:.1f} [{100 * row['mean_ci'][0]:.1f}, {100 * row['mean_ci'][1]:.1f}]"
    )
    assert table[0]["Think %"] == "0.0 [0.0, 4.5]"


def test_json_of_a_sweep(sweep):
    data = sweep.json()
    assert len(data["cells"]) == 11 and all(set(cell) >= CELL_KEYS for cell in data["cells"])
    assert data["cells"][4]["lambda"] == 0.4
    assert data["stages"]["lambda50"] == pytest.approx(0.45, abs=0.02)
    assert data["stages"]["s"] == pytest.approx(0.04, abs=0.01)
    assert data["stages"]["stage2"][0] < 0.4 < 0.5 < data["stages"]["stage2"][1]


def test_a_sweep_like_the_paper_s_agrees(sweep):
    verdicts = {c.text: c.holds for c in sweep.claims}
    assert verdicts["thought appears at a transition in λ"] is True
    assert verdicts["before thought appears, answers grow longer and better"] is True
    assert verdicts["late in λ tokens keep rising"] is True
    assert sweep.sentence.startswith("Agrees") and 0.4 <= numbers_in(sweep.sentence)[0] <= 0.5


def test_a_sweep_unlike_the_paper_s_does_not():
    report, _ = made(
        "sweep",
        [(Cell(Recipe(lam=lam)), 0.9 - 0.6 * lam, 200 - 150 * lam, float(expit((lam - 0.5) / 0.04))) for lam in LAMS],
    )
    verdicts = {c.text: c.holds for c in report.claims}
    assert verdicts["before thought appears, answers grow longer and better"] is False
    assert verdicts["late in λ tokens keep rising"] is False
    never, _ = made("sweep", [(Cell(Recipe(lam=lam)), 0.5, 50, 0) for lam in LAMS])
    assert [c.holds for c in never.claims] == [False]
    assert never.sentence.startswith("Does not agree")


def test_where_no_blend_is_cheaper_and_accuracy_still_rises_the_paper_s_claims_do_not_hold():
    lams, accuracy = (0, 0.2, 0.4, 0.6, 0.8, 1), (0.1, 0.1, 0.2, 0.4, 0.65, 0.95)
    cells = [
        (Cell(Recipe(lam=lam)), right, 100 + 10 * lam, float(expit((lam - 0.3) / 0.03)))
        for lam, right in zip(lams, accuracy)
    ]
    claims = {c.text: c for c in made("sweep", cells)[0].claims}
    cheaper = claims["some λ below 1 is as accurate as Thinking with at most 85 % of its tokens"]
    assert cheaper.holds is False and numbers_in(cheaper.evidence)[0] == 4
    end = claims["the end of stage 3 overthinks: more tokens, no more accuracy"]
    assert end.holds is False and numbers_in(end.evidence)[:2] == [0.8, 1]
    few = {c.text: c.holds for c in made("sweep", [cells[i] for i in (0, 3, 5)])[0].claims}
    assert few[cheaper.text] is None, "one λ between cannot tell"


def layers(text):
    return Cell(Recipe(lam=0.8, scope=Scope(layers=text)))


def test_layers_like_table_3():
    ends = [(Cell(Recipe(lam=0)), 0.5, 30, 0), (Cell(Recipe(lam=1)), 0.9, 120, 1)]
    thirds = [(layers(x), 0.6, 60, r) for x, r in (("0-1", 0), ("2-3", 0.1), ("4-5", 0.3), ("0-3", 0.05), ("2-5", 1))]
    report, _ = made("layers", ends + thirds)
    assert [c.holds for c in report.claims] == [True, True, True]
    assert [row[""] for row in paper_table(report)][2:] == [
        f"λ 0.8, layers {x}" for x in ("0-1", "2-3", "4-5", "0-3", "2-5")
    ]
    other, _ = made(
        "layers", [(layers("0-3"), 0.6, 60, 1), (layers("2-5"), 0.6, 60, 0.5), (layers("0-1"), 0.5, 40, 0.6)]
    )
    assert [c.holds for c in other.claims] == [False, False, False]


def without(*modules):
    return Cell(Recipe(lam=0.8, scope=Scope(modules=tuple(m for m in Scope().modules if m not in modules))))


def test_modules_like_figure_5():
    report, _ = made(
        "modules",
        [(Cell(Recipe(lam=1)), 0.9, 200, 1), (without("attention"), 0.8, 120, 0.99), (without("mlp"), 0.5, 100, 0.01)],
    )
    assert [c.holds for c in report.claims] == [True, True]
    table = paper_table(report)
    assert [row["Length % of Thinking"][:2] for row in table] == ["10", "60", "50"] or table[0][
        "Length % of Thinking"
    ] == "100.0"
    assert table[1][""] == "λ 0.8, without attention"
    few, _ = made("modules", [(without("mlp"), 0.5, 100, 0.1)], questions=20, samples=1)
    assert few.claims[0].holds is None and "ndecided" in few.sentence


def test_decoding_like_figure_4():
    cells = [Cell(Recipe(lam=0.4), Decoding(temperature=t, top_p=p)) for t in (0.6, 0.7) for p in (0.95, 0.8)]
    report, _ = made("decoding", [(c, 0.7, 50, 0) for c in cells])
    assert report.claims[0].holds is not False  # four equal settings: 9.1 points apart, 8.8 in 95 % of draws
    equal, _ = made("decoding", [(cells[0], 1, 50, 0), (cells[1], 1, 50, 0)])
    assert equal.claims[0].holds is True
    assert paper_table(report)[1][""] == "T 0.6, top-p 0.8"
    hot, _ = made("decoding", [(cells[0], 0.9, 50, 0), (cells[1], 0.3, 50, 0)])
    assert hot.claims[0].holds is False


def test_methods_and_backbones():
    arithmetic, ties = (Cell(Recipe(method=name, lam=0.5)) for name in ("task_arithmetic", "ties"))
    plan = [(Cell(Recipe(lam=0.8)), 0.9, 100, 1), (arithmetic, 0.5, 100, 0), (ties, 0.98, 60, 0.5)]
    report, _ = made("methods", plan)
    assert [c.holds for c in report.claims] == [True, False]
    assert [row[""] for row in paper_table(report)] == ["linear, λ 0.8", "task_arithmetic, λ 0.5", "ties, λ 0.5"]
    backbones = [
        (Cell(Recipe(lam=0.8), label="instruct backbone"), 0.9, 100, 1),
        (Cell(Recipe(lam=0.8), label="base backbone"), 0.6, 100, 1),
    ]
    report, _ = made("backbone", backbones)
    assert [c.holds for c in report.claims] == [True]


def test_cells_without_samples_are_left_out():
    report, _ = made("sweep", PAPER_LIKE[:4])
    part, _ = made("sweep", PAPER_LIKE[:4], all_cells=[p[0] for p in PAPER_LIKE])
    assert len(part.cells) == 4 and part.cells == report.cells and part.stages == report.stages
    assert next(iter(part.stages.values()))["kind"] in ("none", "partial")


def test_the_claims_of_a_study_of_two_methods_are_of_the_longer_curve():
    one, _ = made("sweep", PAPER_LIKE)
    report, _ = made("sweep", [*PAPER_LIKE, (Cell(Recipe(method="slerp", lam=0.5)), 0.2, 900, 0.5)])
    assert len(report.cells) == 12 and len(report.stages) == 1
    assert [c.holds for c in report.claims] == [c.holds for c in one.claims]


def test_tables_as_text():
    table = Table.of_records([{"": "λ 0", "n": 1}, {"": "λ 0.25", "n": 10, "more": "x|y"}])
    assert table.text() == "         n  more\n──────  ──  ────\nλ 0      1\nλ 0.25  10  x|y"
    assert table.markdown() == "|  | n | more |\n| --- | --- | --- |\n| λ 0 | 1 |  |\n| λ 0.25 | 10 | x\\|y |"
    assert '<td class="num">10</td><td class="text">x|y</td>' in table.html()
    assert "<b>" not in Table.of(["<b>"], [["<b>\x00\ud800"]]).html("<b>") and not Table.of(["a"], []).text()[3:]


def test_the_sentence():
    claims = [Claim("a", True, "1"), Claim("b", True, "2"), Claim("c", False, "3"), Claim("d", None, "4")]
    agrees, differs, undecided = claims_sentence(claims).split("; ")
    assert (
        agrees.endswith(": a (1), and b (2)")
        and differs == "does not agree: c (3)"
        and undecided == "undecided: d (4)."
    )
    assert "no cells" in claims_sentence([])


def test_published_tables():
    assert all(len(published(name)) for name in TABLES)
    assert source("mi_layers") == "arXiv 2510.10977, table 3"
    curve = dynamics("Qwen3-4B-2507", "AIME25")
    assert curve["lambda"].tolist() == [0, 0.2, 0.4, 0.45, 0.5, 0.55, 0.6, 0.8, 1]
    assert curve["mean_at_k"].tolist()[0] == 46.6
    published("mi_layers").drop(columns="model", inplace=True)
    assert "model" in published("mi_layers")
    with pytest.raises(ValueError, match="Did you mean 'mi_layers'"):
        published("mi_layer")
    with pytest.raises(ValueError, match="published curve"):
        dynamics("Qwen3-4B-2507", "MATH")


def test_by_family():
    report, rows = made("sweep", PAPER_LIKE[:2], questions=10)
    table = parts_table(report, {f"q{i}": "even" if i % 2 == 0 else "odd" for i in range(10)}, [0.1])
    odd = [r["verdict"] == "correct" for r in rows if r["cell"] == "k1" and int(r["item"][1:]) % 2]
    assert [(row[""], row["questions"]) for row in table] == [("even", 5), ("odd", 5)]
    assert table[1]["λ 0.1"].split()[0] == f"{100 * sum(odd) / len(odd):.1f}"
    with pytest.raises(ValueError, match="not measured"):
        parts_table(report, {"q0": "even"}, [0.5])


def test_efficiency_beside_the_measures(sweep):
    rows, cells = efficiency_rows(sweep), sweep.cells
    assert rows[0]["improves_instruct"] is None and rows[10]["improves_thinking"] is None and rows[10]["aes"] == 0
    assert rows[0]["pareto"] and not any(row["improves_instruct"] for row in rows[1:])  # none is shorter than Instruct
    best = max(range(10), key=lambda i: rows[i]["improves_thinking"])
    assert rows[best]["improves_either"] == rows[best]["improves_thinking"] and 0.5 <= cells[best]["lambda"] <= 0.9
    by_hand = 100 * cells[5]["mean"] - 10 * np.log(cells[5]["tokens"] / 1e4 + 1)
    assert rows[5]["ock_score"] == pytest.approx(by_hand)


def test_names_and_scores_follow_the_cells_of_a_refined_sweep():
    """The λs of a refinement stand last in the plan and between the others in tables and figures."""
    refined = [*PAPER_LIKE, (Cell(Recipe(lam=0.45)), 0.8, 75, 0.5)]
    report, _ = made("sweep", refined)
    lams = [cell["lambda"] for cell in report.cells]
    assert lams == sorted(lams) and [cell_name(report, i) for i in range(12)] == [f"λ {lam:g}" for lam in lams]
    assert [row["n"] for row in paper_table(report)] == ["80 × 4"] * 12
