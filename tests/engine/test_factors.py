"""A LoRA adapter as an endpoint keeps its factors in a row-wise batch; tokens as with `peft`'s own merge."""

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.events import Request
from mi_explorer.engine.native.endpoints import Endpoints
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Recipe, Scope
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run
from tests.fixtures import make

PROMPT = prompt(15)


@pytest.fixture(scope="module")
def parents(tmp_path_factory):
    """A full checkpoint and an adapter on it (attention q and v, mlp down; so q|k|v is low-rank in part)."""
    folder = tmp_path_factory.mktemp("adapter")
    make("qwen3", folder / "full")
    torch.manual_seed(0)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder / "full", dtype=torch.float32),
        LoraConfig(r=4, lora_alpha=12, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM"),
    )
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_" in name:
                p.copy_(torch.randn_like(p) * 0.2)
    model.save_pretrained(folder / "adapter")
    return folder


def merged(parents, share: float):
    """`peft`'s own merge, with the adapter's scale times `share`."""
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(parents / "full", dtype=torch.float32), parents / "adapter"
    )
    for module in model.modules():
        if hasattr(module, "scaling") and isinstance(module.scaling, dict):
            module.scaling = {k: v * share for k, v in module.scaling.items()}
    return model.merge_and_unload()


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("only", ["rowwise", "fold"])
def test_rows_and_folds_of_an_adapter_equal_its_merge(parents, turned, only):
    full, adapter = str(parents / "full"), str(parents / "adapter")
    pair = Pair("lora", adapter, full) if turned else Pair("lora", full, adapter)
    resident = ResidentPair.load(pair)
    lams = (0.0, 0.4, 1.0, 1.3)
    with Engine(resident, max_rows=8, max_context=64, only=only, costs=CHEAP_ROWS) as engine:
        got = run(engine, [Request(str(lam), PROMPT, Recipe("lora", lam=lam), greedy()) for lam in lams])
        ends = (
            Endpoints(resident.layout, resident.blend(Recipe("lora", lam=0.5)), resident.device, resident.dtype)
            if only == "fold"
            else next(iter(resident.model.endpoints.values()))
        )
        assert len(ends.low_rank) == 2 * len(resident.layout.layers), "q|k|v and down keep factors in every layer"
        full_bytes = resident.weight_bytes
        copies = (
            sum(end.nbytes for part in ends.layout.products() for end in dict.fromkeys(ends.ends[part]))
            if ends.packed
            else 0
        )
        assert ends.bytes() - copies < 1.35 * full_bytes, "no second copy of what the adapter leaves alone"
    for lam in lams:
        out = merged(parents, 1 - lam if turned else lam).generate(
            torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        assert got[str(lam)] == out[0, len(PROMPT) :].tolist(), lam
    assert got["0.0"] != got["1.0"]


def test_scope_and_slerp_on_an_adapter(parents):
    """Coefficients that differ within q|k|v, and a + b ≠ 1."""
    resident = ResidentPair.load(Pair("lora", str(parents / "full"), str(parents / "adapter")))
    recipes = {
        "scope": Recipe("lora", lam=0.8, scope=Scope("1-2", ("attention",))),
        "slerp": Recipe("lora", lam=0.5, method="slerp"),
        "linear": Recipe("lora", lam=0.5),
    }
    with Engine(resident, max_rows=8, max_context=64, only="rowwise", costs=CHEAP_ROWS) as engine:
        rows = run(engine, [Request(k, PROMPT, r, greedy()) for k, r in recipes.items()])
    model = AutoModelForCausalLM.from_pretrained(parents / "full", dtype=torch.float32)
    for name, recipe in recipes.items():
        blend = resident.blend(recipe)
        model.load_state_dict({n: blend.tensor(n) for n in blend.names()}, strict=False)
        model.tie_weights()
        out = model.generate(
            torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        assert rows[name] == out[0, len(PROMPT) :].tolist(), name
