"""The one-file report: its numbers are the study's, its figures are where they should be, and nothing in it can run or ask."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from mi_explorer.errors import UserError
from mi_explorer.recipe import Decoding, Recipe, Scope
from mi_explorer.studies import ablations
from mi_explorer.studies.plan import Item, Plan, grid
from mi_explorer.studies.report import svg_cells
from mi_explorer.studies.report.html_page import html_report
from mi_explorer.studies.report.palette import lambda_colour
from mi_explorer.studies.report.published import dynamics
from mi_explorer.studies.report.results import efficiency_rows, paper_table
from mi_explorer.studies.report.sample_traces import choose_traces, traces_of_frames
from mi_explorer.studies.runner import Runner
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store.store import Store
from tests.fakes import ScriptedEngine, scripted_bench

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "<script>alert(1)</script>\"'&amp;\x00\u202e<img src=http://evil.example/x onerror=alert(2)></pre></svg>]]>"
ITEMS = tuple(
    Item("sums", f"q{i}", f"What is {i} + 4? {EVIL if i == 0 else ''}", "4" if i == 0 else "5") for i in range(8)
)


class Parts(HTMLParser):
    """Tags, attributes, and all text of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        self.text += data
        if self.rows and self.rows[-1] and self.get_starttag_text().startswith(("<td", "<th")):
            self.rows[-1][-1] += data


def said(request):
    lam, draw = request.recipe.lam, request.decoding.seed % 7
    thought = "<think>" + "Wait. " * round(10 * lam) + EVIL + "</think>" if draw < 10 * (lam - 0.15) else ""
    return f"{thought}{EVIL}\n\nThe answer is {5 if draw < 3 + 4 * lam else 6}."


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("report") / "s.db")
    bench = scripted_bench(ScriptedEngine(said))
    recipe, decoding = Recipe(), Decoding(cap=400)

    def run(name, plan):
        list(Runner(store, plan, ITEMS, lambda pair: bench, name=name).run())

    run(
        f"sweep {EVIL}".replace("\x00", ""),
        Plan("sums", grid(recipe, [0, 0.25, 0.5, 0.75, 1], decoding), 8, 3, command=f"sweep {EVIL}"),
    )
    run("modules", Plan("sums", ablations.modules(recipe.at(0.8), decoding), 8, 2, "modules"))
    run("one", Plan("sums", grid(Recipe(scope=Scope("0-1")), [0.3], decoding), 8, 1))
    return store


def names(store):
    return [info.name for info in store.studies()]


def test_a_report_of_each_kind_runs_nothing_and_asks_nothing(store):
    for name in names(store):
        page = html_report(store, name)
        parts = Parts(page)
        assert not {
            "script",
            "img",
            "iframe",
            "link",
            "object",
            "embed",
            "form",
            "base",
            "a",
            "audio",
            "video",
            "use",
            "image",
        } & set(parts.tags)
        assert not [
            k
            for k, _ in parts.attributes
            if k.startswith("on") or k in ("href", "src", "action", "srcset", "xlink:href")
        ]
        assert (
            "content",
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'",
        ) in parts.attributes
        assert "\x00" not in page and "url(" not in page and "@import" not in page
        assert "<script>alert(1)</script>" in parts.text  # said as text
        for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
            ElementTree.fromstring(svg)


def test_the_figures_and_tables_hold_the_studys_numbers(store):
    name = next(n for n in names(store) if n.startswith("sweep"))
    parts, summary = Parts(html_report(store, name)), summarise(store, name)
    assert parts.tags.count("svg") == 2
    rows = [[cell.strip() for cell in row] for row in parts.rows if len(row) > 3]
    for expected in paper_table(summary):
        mine = [row for row in rows if row[0] == expected[""]]
        assert list(expected.values()) in mine, (list(expected.values()), mine)
    for lam, mean in dynamics("Qwen3-4B-2507", "AIME25")[["lambda", "mean_at_k"]].itertuples(index=False):
        assert any(row[:3] == ["Qwen3-4B-2507", "MI", f"{lam:g}"] and f"{mean:g}" in row for row in rows)
    assert "not measured here" in parts.text and "arXiv 2510.10977" in parts.text
    assert summary.sentence in parts.text and next(iter(summary.stages.values()))["message"] in parts.text
    values = {row[0]: row[1].strip() for row in parts.rows if len(row) == 2}
    assert values["questions"] == "8" and values["samples per question"] == "3" and "cap 400" in values["decoding"]
    assert "version of torch" in values or "version of python" in values


def test_traces_are_chosen_by_rule(store):
    name = next(n for n in names(store) if n.startswith("sweep"))
    summary = summarise(store, name)
    found = choose_traces(store, summary.info, summary)
    centre = next(iter(summary.stages.values()))["lambda50"]
    nearest = min((0, 0.25, 0.5, 0.75, 1), key=lambda x: abs(x - centre)) if centre is not None else 0.5
    assert [t.name for t in found.traces] == [f"linear, λ {x:g}" for x in sorted({0, nearest, 1})]
    assert found.question == ITEMS[0].prompt and found.gold == "4" and "rule" in found.how
    page = html_report(store, name)
    assert all(t.answer[:20] and f"{t.tokens:,} tokens" in page for t in found.traces)


def test_pinned_traces_take_their_place_and_are_checked(store):
    frames = [
        {
            "lam": 0.3,
            "thought": EVIL,
            "answer": "seven",
            "verdict": "correct",
            "tokens": 12,
            "think": 5,
            "truncated": False,
            "notes": ["branch: λ 1 until token 30, then λ 0.3", EVIL, 7],
        },
        {"lam": "x", "answer": "no", "notes": {"a": 1}},
        {"lam": 1, "thought": 7, "answer": None, "verdict": {"a": 1}, "tokens": "many", "think": float("nan")},
    ]
    traces = traces_of_frames(frames, f"Why? {EVIL}", "7", Decoding())
    assert [(t.name, t.answer, t.tokens, t.think_tokens) for t in traces.traces] == [
        ("λ 0.3", "seven", 12, 5),
        ("λ 1", "", 0, 0),
    ]
    parts = Parts(html_report(store, names(store)[0], traces=traces))
    assert "branch: λ 1 until token 30" in parts.text and traces.traces[0].notes[2] == ""
    assert "Pinned in Explore" in parts.text and "seven" in parts.text and "script" not in parts.tags


def test_gated_questions_never_stand_in_a_report(tmp_path):
    store = Store(tmp_path / "s.db")
    items = tuple(Item("gpqa", f"q{i}", "a secret question", "B", private=True) for i in range(2))
    bench = scripted_bench(ScriptedEngine(lambda request: "a secret answer. The answer is B."))
    list(
        Runner(
            store, Plan("gpqa", grid(Recipe(), [0, 1], Decoding(cap=50)), 2, 1), items, lambda pair: bench, name="g"
        ).run()
    )
    page = html_report(store, "g")
    assert "secret" not in page and "may not be republished" in page


def test_an_empty_study_and_an_unknown_one_are_told(store, tmp_path):
    with pytest.raises(UserError, match="no study|Unknown|nothing"):
        html_report(store, "nowhere")
    empty = Store(tmp_path / "e.db")
    cells = grid(Recipe(), [0, 1], Decoding())
    empty.put_study("e", Plan("sums", cells, 1, 1), [], [], "live")
    with pytest.raises(UserError, match="no samples yet"):
        html_report(empty, "e")


def test_bars_are_as_long_as_the_numbers(store):
    summary = summarise(store, "modules")
    root = ElementTree.fromstring(svg_cells.bars_svg(summary))
    fills = {
        colour: [float(r.get("width")) for r in root.iter(f"{SVG}rect") if r.get("fill") == colour]
        for _, _, _, colour in svg_cells.MEASURES
    }
    for measure, _, _, colour in svg_cells.MEASURES:
        values = [cell[measure] for cell in summary.cells if cell[measure] is not None]
        longest = max(range(len(values)), key=values.__getitem__)
        for value, width in zip(values, fills[colour], strict=True):
            assert width == pytest.approx(max(fills[colour][longest] * value / values[longest], 0.5), abs=0.15)
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert {"Instruct", "Thinking", "without attention", "mlp alone"} <= set(texts)


def test_the_pareto_chart_rings_the_front(store):
    name = next(n for n in names(store) if n.startswith("sweep"))
    summary = summarise(store, name)
    root = ElementTree.fromstring(svg_cells.pareto_svg(summary))
    rings = [c for c in root.iter(f"{SVG}circle") if c.get("r") == "7"]
    assert (
        len(rings) == sum(row["pareto"] for row in efficiency_rows(summary))
        and len(list(root.iter(f"{SVG}circle"))) == 5
    )
    cells = summary.cells
    across = [float(c.get("cx")) for c in root.iter(f"{SVG}circle")]
    order = sorted(range(5), key=lambda i: cells[i]["tokens"])
    assert sorted(range(5), key=lambda i: across[i]) == order
    assert lambda_colour(0) == "#0072b2" and lambda_colour(1) == "#d55e00"


def test_the_command_writes_one_whole_file_or_none(tmp_path, capsys, monkeypatch, store):
    from mi_explorer.cli import main
    from mi_explorer.studies.store.exchange import export_study, import_study

    monkeypatch.chdir(tmp_path)
    export_study(store, "modules", tmp_path / "m.parquet")
    with Store.open(tmp_path / "home") as home:
        import_study(home, tmp_path / "m.parquet", "modules")
    ask = ["study", "report", "modules", "--home", str(tmp_path / "home")]
    assert main.main([*ask, "--out", "r.html"]) == 0 and "opens in any browser" in capsys.readouterr().out
    parts = Parts((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert "without attention" in parts.text and "imported" in parts.text and parts.tags.count("svg") == 2
    before = (tmp_path / "r.html").read_bytes()
    for more, said in (
        (["--out", "r.html"], "there already"),
        (["--out", "r.txt"], "as .html"),
        (["--out", "no/where.html"], "cannot be written"),
    ):
        assert main.main([*ask, *more]) == 2 and said in capsys.readouterr().err
    assert (tmp_path / "r.html").read_bytes() == before
    assert main.main([*ask, "--out", "r.html", "--overwrite", "--no-host"]) == 0
    assert main.main(["study", "report", "nowhere", "--home", str(tmp_path / "home"), "--out", "x.html"]) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "m.parquet", "r.html"]
