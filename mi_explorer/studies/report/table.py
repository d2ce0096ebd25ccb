"""A study's samples as what people read: the paper's own table, tidy data frames, JSON, and one computed sentence.

`Report.of(kind, cells, keys, samples)` is the way in; everything else is made from it on demand.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from mi_explorer.errors import UserError
from mi_explorer.recipe import MODULES
from mi_explorer.studies.plan import Cell
from mi_explorer.studies.report import claims as said
from mi_explorer.studies.stats import efficiency as eff
from mi_explorer.studies.stats.grid import Grid
from mi_explorer.studies.stats.metrics import METRICS, SHARES, Estimate, Measures
from mi_explorer.studies.stats.stages import Transition, UsefulEnd, end_of_useful_stage_3, of_measures
from mi_explorer.studies.store.store import Store

PASS_AT = {"layers": (8, 32, 64)}  # table 3 prints these besides; others only pass@k of all samples
NO_TRANSITION = Transition("none", "No λ sweep in this study, so no transition.")


@dataclass(frozen=True)
class Report:
    """Cells of one study with their samples. `cells[i]` describes `measures.grid.cells[i]`; cells without samples are left out."""

    kind: str
    cells: tuple[Cell, ...]
    measures: Measures

    @staticmethod
    def of(
        kind: str,
        cells: Sequence[Cell],
        keys: Sequence[str],
        samples: Any,
        kinds: Mapping[str, str] | None = None,
        k: int | None = None,
    ) -> "Report":
        """`keys[i]` is the `cell` field of the samples of `cells[i]`; `kinds` is the kind of answer by item; `k` is that of pass@k."""
        grid = Grid.of(samples, keys, kinds)
        asked = [bool(row.any()) for row in grid.asked]
        if not all(asked):
            keys = [key for key, has in zip(keys, asked) if has]
            cells = [cell for cell, has in zip(cells, asked) if has]
            grid = Grid.of(samples, keys, kinds)
        return Report(kind, tuple(cells), Measures(grid, k))

    @cached_property
    def curve(self) -> tuple[int, ...]:
        """Indices of the cells of the λ curve, by λ: those of the sweep's commonest recipe apart from λ; () for ablations."""
        if self.kind != "sweep":
            return ()
        groups: dict[Any, list[int]] = {}
        for i, cell in enumerate(self.cells):
            groups.setdefault((cell.recipe.at(0), cell.decoding), []).append(i)
        longest = max(groups.values(), key=lambda indices: len(indices))
        return tuple(sorted(longest, key=lambda i: self.cells[i].recipe.lam))

    @cached_property
    def transition(self) -> Transition:
        """Where thought appears along the curve."""
        return of_measures(*self._along()) if self.curve else NO_TRANSITION

    @cached_property
    def useful_end(self) -> UsefulEnd:
        """From which λ on more tokens buy no certain accuracy."""
        return (
            end_of_useful_stage_3(*self._along(), self.transition)
            if self.curve
            else UsefulEnd(None, None, NO_TRANSITION.message)
        )

    def _along(self) -> tuple[Measures, list[float]]:
        """Measures and λs of the curve alone."""
        return self._part(self.curve), [self.cells[i].recipe.lam for i in self.curve]

    def _part(self, indices: Sequence[int]) -> Measures:
        if list(indices) == list(range(len(self.cells))):
            return self.measures
        return Measures(self.measures.grid.pick(cells=indices), self.measures.k)

    def by(
        self, part_of: Mapping[str, Any], metrics: Sequence[str] = ("mean", "tokens", "think_ratio", "truncated")
    ) -> pd.DataFrame:
        """Tidy measures per part of the questions: `part_of` gives each question's family, level or the like."""
        rows = []
        questions = self.measures.grid.questions
        for part in dict.fromkeys(part_of[q] for q in questions if q in part_of):
            measures = Measures(
                self.measures.grid.pick(questions=[i for i, q in enumerate(questions) if part_of.get(q) == part]),
                self.measures.k,
            )
            for i, cell in enumerate(self.cells):
                for metric in metrics:
                    e = measures.estimate(i, metric)
                    about = {
                        "part": part,
                        "cell": measures.grid.cells[i],
                        "name": self.name(i),
                        "lambda": cell.recipe.lam,
                    }
                    rows.append(
                        {
                            **about,
                            "metric": metric,
                            "value": e.value,
                            "low": e.low,
                            "high": e.high,
                            "questions": e.questions,
                        }
                    )
        return pd.DataFrame(rows)

    def parts_table(
        self, part_of: Mapping[str, Any], lams: Sequence[float], metric: str = "mean"
    ) -> list[dict[str, Any]]:
        """One row a part of the questions (see `by`), one column a λ of the curve: the metric with its interval.

        Raises `UserError` for a λ that was not measured.
        """
        by_lam = {self.cells[i].recipe.lam: self.measures.grid.cells[i] for i in self.curve}
        for lam in lams:
            if lam not in by_lam:
                known = ", ".join(f"{x:g}" for x in by_lam)
                raise UserError(f"λ {lam:g} was not measured along a curve of this study; it has {known or 'none'}.")
        frame = self.by(part_of, [metric])
        out = []
        for part, rows in sorted(frame.groupby("part"), key=lambda found: str(found[0])):
            found = {row["cell"]: row for row in rows.to_dict("records")}
            row: dict[str, Any] = {"": part, "questions": max(r["questions"] for r in found.values())}
            for lam in lams:
                e = Estimate(*(found[by_lam[lam]][name] for name in ("value", "low", "high", "questions")))
                row[f"λ {lam:g}"] = _percent(e) if metric in SHARES else _amount(e)
            out.append(row)
        return out

    @cached_property
    def claims(self) -> tuple[said.Claim, ...]:
        """The paper's statements about this kind of study, tested."""
        if self.kind not in said.CLAIMS or not self.measures.grid.judged:
            return ()
        indices = self.curve if self.kind == "sweep" else range(len(self.cells))
        return tuple(said.CLAIMS[self.kind](self._part(indices), [self.cells[i] for i in indices], self.transition))

    @property
    def sentence(self) -> str:
        """One computed sentence: what agrees with the paper, what does not, what is undecided."""
        return said.sentence(self.claims)

    def name(self, i: int) -> str:
        """What distinguishes cell i within this kind of study, as the paper's table names it."""
        cell = self.cells[i]
        recipe, scope = cell.recipe, cell.recipe.scope
        if self.kind == "decoding":
            return f"T {cell.decoding.temperature:g}, top-p {cell.decoding.top_p:g}"
        if cell.label:
            return cell.label
        parts = [f"λ {recipe.lam:g}"]
        if recipe.method != "linear" or self.kind == "methods":
            parts.insert(0, recipe.method)
        if scope.layers != "all":
            parts.append(f"layers {scope.layers}")
        missing = [m for m in MODULES if m not in scope.modules]
        if missing:
            parts.append("without " + ", ".join(missing))
        return ", ".join(parts)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Tidy: one row a cell and measure, with λ, scope, method, decoding, value, low, high, questions, samples."""
        rows = []
        for i, cell in enumerate(self.cells):
            about = {
                "cell": self.measures.grid.cells[i], "name": self.name(i), "label": cell.label, "group": cell.group,
                "pair": cell.recipe.pair, "method": cell.recipe.method, "lambda": cell.recipe.lam, "layers": cell.recipe.scope.layers,
                "modules": " ".join(cell.recipe.scope.modules), "temperature": cell.decoding.temperature,
                "top_p": cell.decoding.top_p, "seed": cell.decoding.seed, "stage": self.transition.stage(cell.recipe.lam),
            }  # fmt: skip
            samples = int(self.measures.grid.n[i].max())
            for metric in METRICS:
                e = self.measures.estimate(i, metric)
                numbers = {"value": e.value, "low": e.low, "high": e.high, "questions": e.questions, "samples": samples}
                rows.append({**about, "metric": metric, **numbers})
        return pd.DataFrame(rows)

    def table(self) -> list[dict[str, Any]]:
        """The paper's own table: one row a cell; shares in percent with intervals, tokens, n; pass@k also at the paper's k."""
        thinking = next((i for i, c in enumerate(self.cells) if c.recipe.lam == 1), None)
        out = []
        for i in range(len(self.cells)):
            n = self.measures.grid.n[i]
            k = self.measures.k or int(n.max())
            row: dict[str, Any] = {
                "": self.name(i),
                f"Mean@{int(n.max())}": self._share(i, "mean"),
                f"Pass@{k}": self._share(i, "pass"),
            }
            extra = self.measures.row(i, [x for x in PASS_AT.get(self.kind, ()) if x < k])
            row |= {
                f"Pass@{x}": f"{100 * extra[f'pass@{x}']:.1f}"
                for x in PASS_AT.get(self.kind, ())
                if x < k and extra[f"pass@{x}"] is not None
            }
            row |= {f"Vote@{k}": self._share(i, "vote"), "Tokens": _amount(self.measures.estimate(i, "tokens"))}
            row |= {"Think %": self._share(i, "think_ratio")}
            lenient, strict = self.measures.values("think_lenient")[i], self.measures.values("think_ratio")[i]
            if abs(lenient - strict) >= 0.005:
                row["Think % (any tag)"] = self._share(i, "think_lenient")
            row |= {"Truncated %": f"{100 * self.measures.values('truncated')[i]:.1f}"}
            if self.kind == "modules" and thinking is not None:
                tokens = self.measures.values("tokens")
                row["Length % of Thinking"] = f"{100 * tokens[i] / tokens[thinking]:.1f}"
            row["n"] = f"{int((n > 0).sum())} × {int(n.max())}"
            out.append(row)
        return out

    def efficiency(self) -> list[dict[str, Any]]:
        """Per cell: OckScore, AES against Thinking, whether it is on the Pareto front, and P(Pareto-improves) on each parent."""
        tokens, accuracy = (self.measures.values(m).tolist() for m in ("tokens", "mean"))
        front = set(eff.pareto(tokens, accuracy))
        ends = {
            lam: i for i, c in enumerate(self.cells) if (lam := c.recipe.lam) in (0, 1) and c.recipe.method == "linear"
        }
        out = []
        for i in range(len(self.cells)):
            row: dict[str, Any] = {"pareto": i in front, "ock_score": _value(eff.ock_estimate(self.measures, i))}
            row["aes"] = _value(eff.aes_estimate(self.measures, i, ends[1])) if 1 in ends else None
            for lam, name in ((0, "instruct"), (1, "thinking")):
                known = lam in ends and ends[lam] != i and self.measures.grid.judged
                row[f"improves_{name}"] = eff.improves(self.measures, i, ends[lam]) if known else None
            parents = list(ends.values())
            row["improves_either"] = (
                eff.improves_either(self.measures, i, parents) if parents and i not in parents else None
            )
            out.append(row)
        return out

    def hypervolume(self) -> float | None:
        """Area of (accuracy, tokens) that the cells dominate, as a share of that up to the longest cell's tokens; None without gold."""
        tokens, accuracy = (self.measures.values(m).tolist() for m in ("tokens", "mean"))
        worst = max(tokens)
        return eff.hypervolume(tokens, accuracy, worst) / worst if self.measures.grid.judged and worst else None

    def _share(self, i: int, metric: str) -> str:
        return _percent(self.measures.estimate(i, metric))

    def decoding_grid(self, metric: str = "mean") -> pd.DataFrame:
        """Figure 4's form: top-p (rows, falling) × temperature (columns), the metric in percent."""
        data = self.frame[self.frame["metric"] == metric]
        return (100 * data.pivot_table(index="top_p", columns="temperature", values="value")).sort_index(
            ascending=False
        )

    def text(self) -> str:
        """The table and the sentence, for a terminal."""
        lines = [text_table(self.table())]
        if self.curve:
            lines += ["", self.transition.message, self.useful_end.message]
        if self.claims:
            lines += ["", self.sentence]
        return "\n".join(lines)

    def json(self) -> dict[str, Any]:
        """`{"cells": […], "stages": {…}, "claims": […]}`; every cell with λ, measures, intervals and n."""
        cells = [
            {
                "lambda": c.recipe.lam,
                "name": self.name(i),
                "method": c.recipe.method,
                "group": c.group,
                **self.measures.row(i),
                **score,
            }
            for i, (c, score) in enumerate(zip(self.cells, self.efficiency()))
        ]
        stages = {
            **self.transition.json(),
            "useful_end": self.useful_end.lam,
            "useful_end_message": self.useful_end.message,
        }
        claims = [{"text": c.text, "holds": c.holds, "evidence": c.evidence} for c in self.claims]
        return {"cells": cells, "stages": stages, "hypervolume": self.hypervolume(), "claims": claims}


def of_study(store: Store, name: str) -> Report:
    """The report of a stored study. Raises `UserError` if there is no such study, or none of its samples."""
    info = store.study(name)
    rows, kinds = store.cells(info.id), {item.key: item.kind for item in store.items(info.id)}
    return Report.of(
        info.plan.kind, [row.cell for row in rows], [row.key for row in rows], store.samples(info.id), kinds
    )


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as aligned columns; columns in order of first appearance, missing cells blank."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    body = [[str(row.get(name, "")) for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[i]) for line in body)) if body else len(name) for i, name in enumerate(columns)]

    def line(values: Iterable[str]) -> str:
        return "  ".join(value.ljust(width) for value, width in zip(values, widths)).rstrip()

    return "\n".join([line(columns), line("-" * width for width in widths), *map(line, body)])


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The same rows for a README."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[str(row.get(name, "")).replace("|", "\\|") for name in columns] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [columns, ["---"] * len(columns), *cells])


def samples_frame(samples: Any, cells: Sequence[Cell], keys: Sequence[str]) -> pd.DataFrame:
    """Tidy samples: one row each with the sample's own fields and the λ, method and scope of its cell."""
    about = dict(zip(keys, cells))
    rows = []
    for sample in samples:
        row = dict(sample) if isinstance(sample, Mapping) else dict(vars(sample))
        cell = about.get(row["cell"])
        if cell is not None:
            scope = cell.recipe.scope
            rows.append(
                {
                    "lambda": cell.recipe.lam,
                    "method": cell.recipe.method,
                    "layers": scope.layers,
                    "label": cell.label,
                    **row,
                }
            )
    return pd.DataFrame(rows)


def _value(e: Estimate) -> float | None:
    return None if math.isnan(e.value) else e.value


def _percent(e: Estimate) -> str:
    """`49.1 [45.2, 53.0]`; a dash where it is not defined, no bracket where it has no interval."""
    if math.isnan(e.value):
        return "–"
    return f"{100 * e.value:.1f}" + ("" if math.isnan(e.low) else f" [{100 * e.low:.1f}, {100 * e.high:.1f}]")


def _amount(e: Estimate) -> str:
    if math.isnan(e.value):
        return "–"
    digits = 1 if e.value < 1000 else 0
    return f"{e.value:.{digits}f}" + ("" if math.isnan(e.low) else f" [{e.low:.{digits}f}, {e.high:.{digits}f}]")


__all__ = ["METRICS", "SHARES", "Report", "markdown_table", "of_study", "samples_frame", "text_table"]
