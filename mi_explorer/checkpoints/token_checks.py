"""What tokenizers, think tags and chat templates of a pair say: do ids mean the same tokens, whose template opens a thought."""

from collections.abc import Iterable, Iterator

from mi_explorer.checkpoints.checkpoint_info import CheckpointInfo
from mi_explorer.checkpoints.findings import Finding, export_only, note, refused, shorten
from mi_explorer.pairs import Pair
from mi_explorer.prompts.chat_template import FORMS, PROBE, TemplateFault, question_turns, render_template
from mi_explorer.prompts.think_tags import TagPair, opens_thought, recognise_tags
from mi_explorer.prompts.thinking_switches import grades_of, mentions, named_values, switch_values, switches_of


def row_findings(info: CheckpointInfo) -> Iterator[Finding]:
    """Tokens of a tokenizer that the embedding has no row for; a prompt that holds one cannot run."""
    rows = info.rows
    if rows is None:
        return
    beyond = sorted(t for t, i in {**info.vocab, **info.added}.items() if i >= rows)
    if not beyond:
        return
    what = f"{info.name}'s tokenizer has {len(beyond)} tokens without a row in the embedding ({rows} rows), such as {shorten(beyond[0])}."
    if any(t not in info.added or t in (info.template or "") for t in beyond):
        yield refused(
            "vocabulary",
            what,
            "A prompt that holds one cannot run.",
            "Use the tokenizer of this checkpoint, or resize the embedding.",
        )
    else:
        yield note(
            "vocabulary", what, "They are added tokens that its template does not use; a prompt with one of them fails."
        )


def tokenizer_findings(infos: Iterable[CheckpointInfo]) -> Iterator[Finding]:
    """A parent without a tokenizer borrows another's; where none has one, no prompt can be read."""
    infos = tuple(infos)
    if not any(info.has_tokenizer for info in infos):
        yield export_only(
            "tokenizer",
            f"There is no tokenizer in {' or '.join(info.label for info in infos)}.",
            "No prompt can be read: the pair can be compared and exported, but not run.",
            "Copy tokenizer.json and tokenizer_config.json from the model's publisher into one of them.",
        )


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
        if one.cutting != two.cutting:
            yield note(
                "tokenizer",
                "The two tokenizers cut text differently (normalizer, pre-tokenizer or merges).",
                "The same question becomes other tokens with the other parent's template.",
                "The tokenizer of the chosen template is used; choose it by the template policy.",
            )
    tags, known = recognise_tags(TagPair(pair.think_open, pair.think_close), two.template, two.added)
    if not known:
        yield note(
            "think tags",
            "Neither Thinking's template nor its tokenizer has a think tag that is known here.",
            f"{tags.open} is looked for; if thoughts are tagged otherwise they count as answers.",
            "Name the tags with --think-open and --think-close.",
        )
        return
    for role, who in (("Thinking", two), ("Instruct", one)):
        absent = [t for t in tags if t not in who.added and t not in who.vocab]
        if absent:
            why = (
                "Thoughts will be found by text instead of by token id."
                if role == "Thinking"
                else "With Instruct's template the blend writes them as several tokens, or not at all."
            )
            yield note("think tags", f"{role}'s tokenizer has no single token {' or '.join(absent)}.", why)


def template_findings(one: CheckpointInfo, two: CheckpointInfo, pair: Pair) -> Iterator[Finding]:
    if not one.template or not two.template:
        lack = " and ".join(p.name for p in (one, two) if not p.template)
        borrows = "Instruct's is used" if one.template else "The bare prompt is used where its template is asked for"
        yield note("template", f"{lack} has no chat template.", f"{borrows}.")
        return
    tags, _ = recognise_tags(TagPair(pair.think_open, pair.think_close), two.template, two.added)
    ends = []
    for who in (one, two):
        try:
            ends.append(_end_of_prompt(who, pair))
        except TemplateFault as fault:
            yield note(
                "template",
                f"{who.name}'s chat template fails ({fault}).",
                "Prompts cannot be written with it.",
                "Choose the other parent's by the template policy, or mend chat_template in its tokenizer files.",
            )
            return
    if one.template != two.template:
        opens = [opens_thought(end, tags) for end in ends]
        why = (
            f"Thinking's opens the thought itself ({tags.open} is part of the prompt), which changes what small λ writes."
            if opens[1] and not opens[0]
            else "The template is a control of the recipe, not an accident."
        )
        yield note(
            "template",
            "The parents have different chat templates.",
            why,
            "Choose it by the template policy: instruct, thinking or own.",
        )
    yield from _switch_findings(one, two, pair, ends[1])


def _switch_findings(one: CheckpointInfo, two: CheckpointInfo, pair: Pair, end: str) -> Iterator[Finding]:
    """Which switches of thinking the templates know, and whether those that the pair names are among them."""
    templates = [one.template or "", two.template or ""]
    known = list(dict.fromkeys(n for t in templates for n in (*switches_of(t), *grades_of(t))))
    for name in named_values(pair.thinking_switch):
        if not any(mentions(template, name) for template in templates):
            yield note(
                "thinking switch",
                f"No chat template of this pair reads a variable {name!r}.",
                "Setting it changes nothing.",
                f"They know {', '.join(known)}." if known else "They know no switch of thinking.",
            )
    if pair.thinking_switch != "auto":
        return
    if end != _end_of_prompt(two, pair, "off"):
        yield note(
            "template",
            f"Thinking's template switches thinking by a variable ({', '.join(switches_of(templates[1])) or known[0]}).",
            "It is turned on.",
            "Say --thinking-switch off to leave it off.",
        )
    if grades := grades_of(templates[1]):
        yield note(
            "thinking switch",
            f"Thinking's template takes a value for thinking ({', '.join(grades)}).",
            "It is left at its default.",
            f"Say --thinking-switch {grades[0]}=VALUE to set it.",
        )


def _end_of_prompt(info: CheckpointInfo, pair: Pair, setting: str = "") -> str:
    """What the template of a parent writes at the end of a prompt; `setting` stands for the pair's `thinking_switch`."""
    template = info.template or ""
    options = switch_values(template, setting or pair.thinking_switch, info.role == "thinking")
    fault = TemplateFault("it does not write the question")
    for form in range(FORMS):
        try:
            text = render_template(template, question_turns(PROBE, form), options)
        except TemplateFault as error:
            if error.hopeless:
                raise
            fault = error
        else:
            if PROBE in text:
                return text.rpartition(PROBE)[2]
    raise fault
