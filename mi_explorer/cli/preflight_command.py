"""`preflight`: can this pair be blended? Reads configs, tokenizer files and headers, no weights."""

import argparse
import json
import sys

from mi_explorer.cli.arguments import Commands, add_command
from mi_explorer.cli.parent_options import add_pair_settings, add_parents, pair_of
from mi_explorer.cli.terminal import byte_size, clean
from mi_explorer.untyped import JsonObject

PREFLIGHT_EXAMPLE = """
  python -m mi_explorer preflight mini
  python -m mi_explorer preflight Qwen/Qwen3-4B-Instruct-2507 Qwen/Qwen3-4B-Thinking-2507 --base Qwen/Qwen3-4B-Base
  python -m mi_explorer preflight ./instruct ./thinking --json
"""
PREFLIGHT_TEXT = """Judge a pair from its configs, tokenizer files and safetensors headers alone, before anything large is downloaded
or loaded: ok, ok with notes, export only, or refused, each finding with what, why and what to do. A refused pair exits with 2."""


def add_preflight(commands: Commands) -> None:
    """Add `preflight`."""
    parser = add_command(
        commands, "preflight", "can this pair be blended? (reads no weights)", PREFLIGHT_TEXT, PREFLIGHT_EXAMPLE
    )
    add_parents(parser)
    add_pair_settings(parser)
    parser.set_defaults(handler=run_preflight)


def run_preflight(args: argparse.Namespace) -> int:
    """Print the verdict and its findings."""
    from mi_explorer.checkpoints.preflight import preflight

    result = preflight(pair_of(args, args.parents))
    if args.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False, default=str))
        return 0 if result.ok else 2
    facts = result.facts
    parents = " | ".join(clean(facts[role]) for role in ("instruct", "thinking", "base") if facts[role])
    print(f"{result.verdict.upper()}: {parents}")
    if "architecture" in facts:
        print(_facts_text(facts))
    for finding in result.findings:
        level = finding.level if finding.level == "note" else finding.level.upper()
        print(f"- {level} ({finding.topic}): {clean(finding.text())}")
    if not result.ok:
        print(f"mi_explorer preflight: {clean(result.findings[0].text())}", file=sys.stderr)
    return 0 if result.ok else 2


def _facts_text(facts: JsonObject) -> str:
    memory = facts["memory"]
    disk = ", ".join(f"{role} {byte_size(n)}" for role, n in facts["disk"].items())
    return (
        f"{facts['architecture']}, {facts['layers']} layers, {facts['parameters']:,} parameters in "
        f"{facts['tensors']:,} tensors, {', '.join(facts['dtype'])}{', tied' if facts['tied'] else ''}; "
        f"vocabulary {facts['vocabulary']:,}\n"
        f"memory: fold {byte_size(memory['fold'])}, row-wise λ {byte_size(memory['rowwise'])}, "
        f"free here {byte_size(memory['free'])}; on disk {disk}"
    )
