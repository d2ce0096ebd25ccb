"""JSON files of a checkpoint or adapter, changed anywhere: every way in says the same of it, and nothing ends in a traceback."""

import copy
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.pairs import Pair
from tests.checkpoints import adapter_oddities
from tests.checkpoints.adapters import save_adapter
from tests.checkpoints.families import make_family
from tests.checkpoints.more_oddities import sharded
from tests.checkpoints.ways_in import outcomes
from tests.fixtures import make, make_tokenizer

KINDS = ("qwen3", "shards", "adapter", "qwen3-30b-a3b", "ministral3-14b", "phi4-mini", "qwen3-vl-2b")
FILES = ("config.json", "adapter_config.json", "model.safetensors.index.json", "generation_config.json", "tokenizer_config.json",
         "tokenizer.json")  # fmt: skip
KEYS = ("num_hidden_layers", "num_experts", "rope_scaling", "rope_parameters", "sliding_window", "layer_types", "text_config", "vocab_size",
        "tie_word_embeddings", "quantization_config", "dtype", "head_dim", "model_type", "pad_token_id", "chat_template", "normalizer",
        "added_tokens_decoder", "model_max_length", "r", "lora_alpha", "target_modules", "rank_pattern", "bias", "weight_map")  # fmt: skip
# Values that nobody means: of each JSON type, out of every range, paths, templates, half a character.
ODD = (None, True, False, 0, -1, 7, 10**9, 10**30, 1.5, float("nan"), float("inf"), 1e-320, "", "x", "../x.safetensors", "/dev/zero", "\0",
       "a" * 5000, "{{ 1/0 }}", "{% for m in messages %}{{ m.content }}{% endfor %}", "linear", "\ud800", [], {}, [1], ["x"], [[]], {"": None},
       {"a": 1})  # fmt: skip
MISSING = object()  # a field that is not there
edits = st.lists(
    st.tuples(st.sampled_from(["put", "drop", "add", "vary"]), st.floats(0, 1, exclude_max=True), st.sampled_from(ODD)),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """kind → folder with instruct and thinking."""
    root = tmp_path_factory.mktemp("fuzzed")
    for kind in ("qwen3", "shards"):
        for seed, role in enumerate(("instruct", "thinking"), 1):
            folder = make_tokenizer(make("qwen3", root / kind / role, delta_seed=seed, num_hidden_layers=2))
            if kind == "shards":
                sharded(lambda index: None)(folder)
    base = Path(shutil.copytree(root / "qwen3" / "instruct", root / "adapter" / "instruct"))
    save_adapter(base, root / "adapter" / "thinking", adapter_oddities.peft.LoraConfig(**adapter_oddities.LORA))
    for kind in KINDS[3:]:
        make_family(kind, root / kind)
    return root


def places(value, path=()):
    """The paths of all values inside a JSON value (of long tables the first ones)."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(inside)[:40]:
        yield (*path, key)
        yield from places(inner, (*path, key))


def varied(value):
    """The nearest wrong value of the same type."""
    if isinstance(value, (bool, type(None))):
        return not value
    if isinstance(value, (int, float)):
        return -value or 1
    return value + "x" if isinstance(value, str) else [value]


def change(file, edits):
    content = json.loads(file.read_text(encoding="utf-8"))
    for what, where, value in edits:
        odd = copy.deepcopy(value)  # or one edit could put a value into itself
        paths = list(places(content))
        if what == "add" or not paths:
            content[KEYS[int(where * len(KEYS))]] = odd
            continue
        *parents, last = paths[int(where * len(paths))]
        at = content
        for key in parents:
            at = at[key]
        if what == "drop":
            del at[last]
        else:
            at[last] = odd if what == "put" else varied(at[last])
    file.write_text(json.dumps(content), encoding="utf-8")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(KINDS),
    role=st.sampled_from(["instruct", "thinking"]),
    name=st.sampled_from(FILES),
    edits=edits,
    both=st.booleans(),
)
@example("qwen3-vl-2b", "instruct", "config.json", [("add", 0.0, "\ud800")], True)
def test_any_change_is_a_sentence_or_runs(originals, tmp_path, kind, role, name, edits, both):
    folder = tmp_path / "pair"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(originals / kind, folder)
    if not (folder / role / name).exists():
        role, name = ("thinking", name) if (folder / "thinking" / name).exists() else ("instruct", "config.json")
    change(folder / role / name, edits)
    other = folder / ("thinking" if role == "instruct" else "instruct") / name
    if both and other.exists():
        shutil.copy(folder / role / name, other)
    found = outcomes(Pair("odd", *(str(folder / r) for r in ("instruct", "thinking"))))
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_a_sentence(originals, tmp_path, name):
    kind = {"adapter_config.json": "adapter", "model.safetensors.index.json": "shards"}.get(name, "qwen3")
    whole = (originals / kind / "thinking" / name).read_bytes()
    for count, part in enumerate((0, 0.3, 0.97)):
        folder = Path(shutil.copytree(originals / kind, tmp_path / str(count)))
        (folder / "thinking" / name).write_bytes(whole[: int(part * len(whole))])
        found = outcomes(Pair("odd", *(str(folder / r) for r in ("instruct", "thinking"))))
        assert not any(found.values()), (part, found)


@pytest.mark.parametrize(
    ("kind", "part", "field", "value"),
    [
        ("ministral3-14b", ("text_config", "rope_parameters"), "llama_4_scaling_beta", None),
        ("ministral3-14b", ("text_config", "rope_parameters"), "llama_4_scaling_beta", MISSING),
        ("qwen3-vl-2b", ("text_config", "rope_parameters"), "mrope_section", [2, None, 1, 1]),
        ("qwen3-30b-a3b", (), "num_experts_per_tok", 100),
        ("qwen3-30b-a3b", (), "sliding_window", "x"),
    ],
)
def test_what_the_first_step_would_fail_on_is_refused_before(originals, tmp_path, kind, part, field, value):
    folder = Path(shutil.copytree(originals / kind, tmp_path / "pair"))
    for role in ("instruct", "thinking"):
        file = folder / role / "config.json"
        content = at = json.loads(file.read_text(encoding="utf-8"))
        for key in part:
            at = at[key]
        if value is MISSING:
            del at[field]
        else:
            at[field] = value
        file.write_text(json.dumps(content), encoding="utf-8")
    pair = Pair("odd", *(str(folder / r) for r in ("instruct", "thinking")))
    assert field in " ".join(f.text() for f in preflight(pair).findings if f.level == "refused")
    assert not any(outcomes(pair).values())
