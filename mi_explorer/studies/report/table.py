"""The one table renderer: columns and rows as text for a terminal, Markdown for a README, HTML for a page.

In: plain values. Out: text; every cell is escaped for what it is put into.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from mi_explorer.untyped import JsonMapping

# What no document may hold: control characters, surrogates and two code points that are none.
UNPRINTABLE = re.compile("[^\n\t\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
NUMERIC = re.compile(r"[\d–+−.-].{0,38}$|$")


def safe_html(text: object) -> Markup:
    """Text as HTML text, without characters that no document may hold."""
    return escape(UNPRINTABLE.sub("\ufffd", str(text)))


@dataclass(frozen=True)
class Table:
    """Columns with rows of as many cells. A column of numbers alone stands to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @staticmethod
    def of(columns: Iterable[object], rows: Iterable[Iterable[object]]) -> "Table":
        """Any values as cells."""
        return Table(tuple(map(str, columns)), tuple(tuple(map(str, row)) for row in rows))

    @staticmethod
    def of_records(records: Sequence[JsonMapping]) -> "Table":
        """One record a row; columns in order of first appearance, missing cells blank."""
        columns = tuple(dict.fromkeys(name for record in records for name in record))
        return Table.of(columns, ([record.get(name, "") for name in columns] for record in records))

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether all cells of a column read as numbers, intervals or dashes."""
        return tuple(
            bool(self.rows) and all(NUMERIC.match(row[i]) for row in self.rows) for i in range(len(self.columns))
        )

    def text(self) -> str:
        """Aligned columns under a rule."""
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        right = self.numeric

        def draw(cells: Sequence[str]) -> str:
            aligned = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, right, strict=True))
            return "  ".join(aligned).rstrip()

        return "\n".join([draw(self.columns), "  ".join("─" * w for w in widths), *map(draw, self.rows)])

    def markdown(self) -> str:
        """A Markdown table."""
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def html(self, caption: str = "", words: Sequence[str] = ()) -> Markup:
        """A `<table>` in a box that scrolls; columns named in `words` stand to the left whatever they hold."""
        kinds = ["num" if n and c not in words else "text" for n, c in zip(self.numeric, self.columns, strict=True)]

        def cells(tag: str, values: Sequence[str]) -> Markup:
            filled = (Markup(tag).format(kind, safe_html(v)) for kind, v in zip(kinds, values, strict=True))
            return Markup("<tr>") + Markup("").join(filled) + Markup("</tr>")

        title = Markup("<caption>{}</caption>").format(safe_html(caption)) if caption else Markup("")
        head = cells('<th scope="col" class="{}">{}</th>', self.columns)
        body = Markup("\n").join(cells('<td class="{}">{}</td>', row) for row in self.rows)
        return Markup('<div class="wide"><table>{}<thead>{}</thead><tbody>\n{}\n</tbody></table></div>').format(
            title, head, body
        )
