"""The page's fixed part as one dict of JSON types: pair, examples, methods, scope presets, ranges, the strip to open on.

It goes to the browser once, with the page. Text in it (task questions, pair names, findings) is text there too.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mi_explorer.pair_names import pair_name, parent_names
from mi_explorer.pairs import ADAPTER_ON, Pair
from mi_explorer.recipe import MODULES
from mi_explorer.studies.report.palette import LAMBDA_SCALE
from mi_explorer.tasks.task import Question
from mi_explorer.ui.explore import view
from mi_explorer.untyped import JsonMapping, JsonObject
from mi_explorer.workbench import Workbench

if TYPE_CHECKING:
    from mi_explorer.checkpoints.preflight import Preflight

LAYERED = ("attention", "mlp", "norm", "other")  # modules whose tensors mostly sit in layers
TEMPLATES = [["own", "of each λ's side"], ["instruct", "Instruct's for all"], ["thinking", "Thinking's for all"]]
DECODING = [
    {"key": "t", "label": "Temperature", "low": 0, "high": 5, "about": "0 is greedy"},
    {"key": "top_p", "label": "Top-p", "low": 0, "high": 1, "about": "1 is off"},
    {"key": "top_k", "label": "Top-k", "low": 0, "high": 1_000_000, "about": "0 is off"},
    {"key": "min_p", "label": "Min-p", "low": 0, "high": 1, "about": "0 is off"},
    {"key": "rep", "label": "Repetition", "low": 0.1, "high": 10, "about": "penalty; 1 is off"},
    {"key": "cap", "label": "Token limit", "low": 1, "high": 1_000_000, "about": "the most tokens a response may have"},
    {"key": "seed", "label": "Seed", "low": 0, "high": 2**53, "about": "the same seed gives the same trace"},
    {
        "key": "budget",
        "label": "Thought budget",
        "low": 1,
        "high": 1_000_000,
        "about": "tokens after which a thought that is still open is closed; empty: none",
        "optional": True,
    },
    {
        "key": "answer_lam",
        "label": "λ of the answer",
        "low": -1,
        "high": 2,
        "about": "from the end of the thought on; empty: the same λ throughout",
        "optional": True,
    },
]

# What may follow a pair's name as in a URL: key, label, default, values (none: a text), what it is for.
PAIR_OPTIONS = [
    ("adapter_on", "Adapter sits on", Pair.adapter_on, ADAPTER_ON, "the checkpoint that a LoRA adapter belongs to; auto: what its "
     "own config names, else the other parent, else the base"),
    ("untie", "Untie embeddings", "false", ("false", "true"), "lets a parent with tied embeddings meet one without; the blend is untied"),
    ("thinking_switch", "Thinking switch", Pair.thinking_switch, (), "of chat templates that switch thinking: auto (on in Thinking's, "
     "as it stands in Instruct's), on, off, or a variable's NAME=VALUE"),
    ("think_open", "Opening think tag", Pair.think_open, (), "what begins a thought; left as it is, the tags are recognised"),
    ("think_close", "Closing think tag", Pair.think_close, (), "what ends a thought"),
]  # fmt: skip


def scope_presets(layers: int) -> list[JsonObject]:
    """Scopes worth a click, for a model of this many layers: everything, the thirds of the paper's table, no attention, no MLP."""
    first, second = layers // 3, 2 * layers // 3
    spans = [("everything", 0, layers), ("first third", 0, first), ("middle third", first, second), ("last third", second, layers),
             ("first two thirds", 0, second), ("last two thirds", first, layers)]  # fmt: skip
    shown = [
        {"label": label, "layers": layer_range(a, b, layers), "modules": list(MODULES)}
        for label, a, b in spans
        if b > a
    ]
    without = [
        {"label": f"without {label}", "layers": "all", "modules": [x for x in MODULES if x != m]}
        for m, label in (("attention", "attention"), ("mlp", "MLP"))
    ]
    return shown + without


def layer_range(first: int, end: int, layers: int) -> str:
    """Layers [first, end) as scope text."""
    return "all" if (first, end) == (0, layers) else f"{first}-{end - 1}" if end - first > 1 else str(first)


def method_controls(base: bool) -> list[JsonObject]:
    """Every merge method with the ranges of its parameters, for the page's controls; `base`: whether the pair has one."""
    from mi_explorer.merging.methods import METHODS

    return [
        {
            "name": m.name,
            "title": m.title,
            "about": m.text,
            "available": base or not m.needs_base,
            "params": [
                {"name": p.name, "title": p.title, "default": p.default, "low": p.low, "high": p.high, "about": p.text}
                for p in m.params
            ],
        }
        for m in METHODS.values()
    ]


def example_questions(questions: Sequence[Question], most: int = 10) -> list[JsonObject]:
    """One question per family, of middling level, in the task's own order of families."""
    families: dict[str, list[Question]] = {}
    for q in questions:
        families.setdefault(q.family or "example", []).append(q)
    picked = []
    for group in list(families.values())[:most]:
        levels = sorted(q.level for q in group)
        middle = levels[len(levels) // 2]
        picked.append(next(q for q in group if q.level == middle))
    return [{"q": q.text, "gold": q.gold, "family": q.family or "example", "level": q.level} for q in picked]


def everyday_questions(texts: Sequence[str]) -> list[JsonObject]:
    """A pair's own questions as examples: no known answer, and no family but themselves."""
    return [{"q": text, "gold": "", "family": text, "level": 0} for text in texts]


def pair_summary(judged: "Preflight", dtype: str = "", device: str = "") -> JsonObject:
    """A pair in words, from its preflight: `facts` (one line), `rows` (name, value), `findings` (kind, text), `modules` it has.

    `adapter`: whether a parent is a LoRA adapter, or is refused as one.
    """
    f = judged.facts
    names = parent_names(filter(None, (f["instruct"], f["thinking"], f["base"]))) if judged.ok else {}
    findings = [{"kind": x.level, "text": _without_paths(x.text(), names)} for x in judged.findings]
    adapter = bool(f.get("adapter")) or any("adapter" in x["text"] for x in findings)
    if "parameters" not in f:
        return {
            "facts": judged.verdict,
            "rows": [],
            "findings": findings,
            "modules": list(MODULES),
            "adapter": adapter,
        }
    parameters = parameter_count(f["parameters"])
    memory = f["memory"]
    tied = "tied" if f["tied"] else "untied"
    rowwise, fold, free = (size_text(memory[key]) for key in ("rowwise", "fold", "free"))
    rows = [
        ["Architecture", f"{f['architecture']}, {f['layers']} layers, width {f['hidden']}, {tied} embeddings"],
        ["Size", f"{parameters} parameters in {f['tensors']} tensors, {'/'.join(f['dtype'])} on disk"],
        ["Vocabulary", f"{f['vocabulary']:,} tokens"],
        ["Memory", f"{rowwise} for every λ at once, {fold} folded; {free} free when asked"],
        *(["Adapter", adapter_text(role, about)] for role, about in f["adapter"].items()),
        ["Preflight", judged.verdict],
    ]
    runs = f" · {dtype} on {device}" if dtype else ""
    return {
        "facts": f"{f['layers']} layers · {parameters} parameters{runs}",
        "rows": rows,
        "findings": findings,
        "modules": [m for m in MODULES if f["modules"].get(m)],
        "adapter": adapter,
    }


def _without_paths(text: str, names: Mapping[str, str]) -> str:
    """A finding with its parents by short names: whoever opened them knows where they lie."""
    for path in sorted(names, key=len, reverse=True):
        text = text.replace(path, names[path])
    return text


def adapter_text(role: str, about: JsonMapping) -> str:
    """An adapter parent in words: which, its rank, and what it sits on."""
    return f"{role.capitalize()} is a LoRA adapter of rank {about['rank']} on {about['on'].capitalize()}"


def parameter_count(n: float) -> str:
    """A count of parameters as people say it: 1.3 M, 4.0 B."""
    return f"{n / 1e9:.1f} B" if n >= 1e9 else f"{n / 1e6:.1f} M"


def size_text(bytes: float) -> str:
    """Bytes as MB or GB."""
    return f"{bytes / 1e9:.1f} GB" if bytes >= 1e9 else f"{bytes / 1e6:.1f} MB"


def page_setup(
    bench: Workbench,
    questions: Sequence[Question],
    task: str,
    strip: JsonObject | None,
    summary: JsonObject | None = None,
) -> JsonObject:
    """The whole dict. `strip` is a precomputed one (see `demo_strip.py`), or None for an empty board; `summary` from `pair_summary`."""
    layers, pair = bench.layers or 0, bench.pair
    summary = summary or {"facts": f"{layers} layers", "rows": [], "findings": [], "modules": list(MODULES)}
    shown = [*everyday_questions(pair.questions), *example_questions(questions)]
    first = {"q": shown[0]["q"], "gold": shown[0]["gold"]} if shown else {}
    empty = {
        "token": "none",
        "label": "",
        "view": {"pair": pair.name, **first},
        "frames": {},
        "sentence": "",
        "bands": [],
    }
    return {
        "pair": {"name": pair.name, "title": pair.title or pair_name(pair.name), "layers": layers, **summary},
        "fields": [list(f) for f in view.FIELDS],
        "version": view.VERSION,
        "linkLimit": view.LINK_LIMIT,
        "promptLimit": view.PROMPT_LIMIT,
        "goldLimit": view.GOLD_LIMIT,
        "mostPins": view.MOST_PINS,
        "mostBranches": view.MOST_BRANCHES,
        "mostProbed": view.MOST_PROBED,
        "defaults": {**view.DEFAULTS, "pair": pair.name},
        "lenses": list(view.LENSES),
        "palette": LAMBDA_SCALE,
        "modules": list(MODULES),
        "layered": list(LAYERED),
        "presets": scope_presets(layers),
        "methods": method_controls(bool(pair.base)),
        "templates": TEMPLATES,
        "pairOptions": [list(option) for option in PAIR_OPTIONS],
        "decoding": DECODING,
        "task": task if questions else "",
        "examples": shown,
        "strip": strip or empty,
    }
