"""What tokenizers, think tags and chat templates of a pair say: do ids mean the same tokens, whose template opens a thought."""

import re
from collections.abc import Iterator

from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo
from mi_explorer.checkpoints.findings import Finding, note, refused, shorten
from mi_explorer.pairs import Pair


def token_findings(one: CheckpointInfo, two: CheckpointInfo, pair: Pair) -> Iterator[Finding]:
    if not one.tokenizer or not two.tokenizer:
        lack = " and ".join(p.role.capitalize() for p in (one, two) if not p.tokenizer)
        yield note(
            "tokenizer",
            f"{lack} has no tokenizer.json.",
            "Vocabularies could not be compared.",
            "Make sure that both use the same tokenizer.",
        )
        return
    if one.tokenizer != two.tokenizer:
        a, b = ({i: t for t, i in {**p.vocab, **p.added}.items()} for p in (one, two))
        clash = sorted(i for i in a.keys() & b.keys() if a[i] != b[i])
        if clash and len(clash) > 64:
            first = clash[0]
            yield refused(
                "vocabulary",
                f"{len(clash)} token ids mean different tokens, such as {first}: {shorten(a[first])} and {shorten(b[first])}.",
                "Embedding rows of different tokens would be averaged.",
                "Choose parents with one tokenizer.",
            )
        elif clash:
            shown = ", ".join(f"{i}: {shorten(a[i])} / {shorten(b[i])}" for i in clash[:4])
            yield note(
                "vocabulary",
                f"{len(clash)} token ids mean different tokens ({shown}).",
                "Usually reserved tokens that one parent renamed; the tokenizer of the chosen template names them.",
            )
        for have, lack, extra in (
            ("Instruct", "Thinking", sorted(a.keys() - b.keys())),
            ("Thinking", "Instruct", sorted(b.keys() - a.keys())),
        ):
            if extra:
                tokens = a if have == "Instruct" else b
                shown = ", ".join(shorten(tokens[i]) for i in extra[:4])
                yield note(
                    "vocabulary",
                    f"{have}'s tokenizer has {len(extra)} tokens that {lack}'s lacks ({shown}).",
                    "Their rows exist in both embeddings and are blended like all others.",
                )
    for role, who in (("Thinking", two), ("Instruct", one)):
        absent = [t for t in (pair.think_open, pair.think_close) if t not in who.added and t not in who.vocab]
        if absent:
            why = (
                "Thoughts will be found by text instead of by token id."
                if role == "Thinking"
                else "With Instruct's template the blend writes them as several tokens, or not at all."
            )
            yield note("think tags", f"{role}'s tokenizer has no single token {' or '.join(absent)}.", why)


def template_findings(one: CheckpointInfo, two: CheckpointInfo, pair: Pair) -> Iterator[Finding]:
    if not one.template or not two.template:
        lack = " and ".join(p.role.capitalize() for p in (one, two) if not p.template)
        yield note(
            "template",
            f"{lack} has no chat template.",
            "The other parent's is used where there is one; otherwise the bare prompt.",
        )
    elif one.template != two.template:
        fills = _prefills(two.template, pair.think_open) and not _prefills(one.template, pair.think_open)
        why = (
            f"Thinking's opens the thought itself ({pair.think_open} is part of the prompt), which changes what small λ writes."
            if fills
            else "The template is a control of the recipe, not an accident."
        )
        yield note(
            "template",
            "The parents have different chat templates.",
            why,
            "Choose it by the template policy: instruct, thinking or own.",
        )


def _prefills(template: str, tag: str) -> bool:
    tail = template[template.rfind("add_generation_prompt") :] if "add_generation_prompt" in template else ""
    return bool(re.search(re.escape(tag) + r"(\\n|\s)*['\"}{%\s-]*(endif|$)", tail)) or (tag in tail)
