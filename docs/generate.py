"""Writes what is generated in the documents: `docs/cli.md` from `--help`, the table of settings in `docs/operating.md` from `OPTIONS`,
the table of what fits which card in `README.md` from the memory plan, two parts of `docs/results.md` (pairs side by side, interventions)
from the precomputed studies.

python docs/generate.py           # writes
python docs/generate.py --check   # exit code 1 if something written is not what it would write
"""

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

HEAD = """# Command line

Generated from `--help` by `make docs`; do not edit. Exit codes: 0 done, 1 something failed on the way, 2 bad input (one paragraph on
standard error), 130 interrupted. The page's own flags are in the [operating](operating.md#settings).
"""


def parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """A parser and those of its commands, depth first."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in dict.fromkeys(action.choices.values()):
                yield from parsers(sub)


def cli() -> str:
    """The text of docs/cli.md."""
    from mi_explorer.cli.main import parser

    os.environ["COLUMNS"] = "110"
    parts = [HEAD]
    for one in parsers(parser()):
        parts.append(f"## `{one.prog}`\n\n```text\n{one.format_help().rstrip()}\n```\n")
    return "\n".join(parts)


def between(text: str, name: str, content: str) -> str:
    """A document with this content between its marks `<!-- name -->` and `<!-- /name -->`."""
    before, _, rest = text.partition(f"<!-- {name} -->")
    _, _, after = rest.partition(f"<!-- /{name} -->")
    return f"{before}<!-- {name} -->\n{content}\n<!-- /{name} -->{after}"


def operating(text: str) -> str:
    """docs/operating.md with the table of settings as it is now."""
    from mi_explorer.ui.access.settings import settings_table

    return between(text, "settings", settings_table())


def cards(text: str) -> str:
    """README.md with the table of what fits which card as the memory plan has it now."""
    from mi_explorer.engine.paper_plan import cards_table

    return between(text, "cards", cards_table())


def results(text: str) -> str:
    """docs/results.md with the pairs side by side and the part on interventions as the precomputed studies have them."""
    from intervention_results import intervention_results
    from side_by_side import side_by_side

    text = between(text, "side by side", f"\n{side_by_side()}\n")
    return between(text, "interventions", f"\n{intervention_results()}\n")


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description="Write the generated parts of the documents.")
    options.add_argument("--check", action="store_true", help="write nothing; say what is not up to date")
    check = options.parse_args(arguments).check
    settings = ROOT / "docs" / "operating.md"
    stale = []
    readme = ROOT / "README.md"
    measured = ROOT / "docs" / "results.md"
    for path, text in (
        (ROOT / "docs" / "cli.md", cli()),
        (settings, operating(settings.read_text(encoding="utf-8"))),
        (readme, cards(readme.read_text(encoding="utf-8"))),
        (measured, results(measured.read_text(encoding="utf-8"))),
    ):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        print(f"{'Not up to date' if check else 'Written'}: {', '.join(stale)}" + (". Run: make docs" if check else ""))
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
