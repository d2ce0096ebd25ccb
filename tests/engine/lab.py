"""Pairs of tiny models, loaded once per session, and the plain `transformers` way to run their blends."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Gemma2Config, GPT2Config, Olmo2Config

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.costs import Costs
from mi_explorer.engine.events import Failed, Finished, Request, Token
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe
from tests.fixtures import SIZES, make_pair

torch.set_num_threads(1)
ROWWISE = ("qwen3", "qwen3-untied", "qwen3-biased", "qwen2", "llama", "llama3-rope")
CLAIMED = ("gpt2", "olmo2")  # through transformers' own modules, row-wise by tensors that stand for parameters
FOLDED = ("qwen3-moe", "lfm2", "gemma2")
OTHERS = {
    "gpt2": GPT2Config(n_embd=32, n_layer=3, n_head=4, n_positions=256, vocab_size=96, bos_token_id=0, eos_token_id=0),
    "olmo2": Olmo2Config(**SIZES),
    "gemma2": Gemma2Config(**SIZES, head_dim=8, sliding_window=8, query_pre_attn_scalar=8),
}
CHANGES = {
    "qwen3-biased": ("qwen3-untied", {"attention_bias": True}),
    "llama3-rope": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
}
# Step times for tests that force a decision: folding dear (strips go row-wise), or row-wise dear.
CHEAP_ROWS = Costs({"folded": [(1, 1.0), (64, 1.2)], "rowwise": [(1, 1.0), (64, 1.2)]}, fold=5.0)


class Lab:
    """One pair: its resident form, and the model of any recipe built the usual way (state dict, then plain `transformers`)."""

    def __init__(self, kind: str, folder: Path):
        base, changes = CHANGES.get(kind, (kind, {}))
        if kind in OTHERS:
            self.pair = other_pair(kind, folder)
        else:
            self.pair = make_pair(base, folder, delta=0.05, base=kind == "llama", **changes)
        self.resident = ResidentPair.load(self.pair)
        self.plain = AutoModelForCausalLM.from_pretrained(self.pair.instruct, dtype=torch.float32).eval()
        self.ends = [
            AutoModelForCausalLM.from_pretrained(p, dtype=torch.float32).state_dict()
            for p in (self.pair.instruct, self.pair.thinking)
        ]

    def recipe(self, lam: float, **more) -> Recipe:
        return Recipe(self.pair.name, lam=lam, **more)

    def fold(self, lam: float, inside=lambda name: True):
        """Plain model at λ by the definition (1−λ)·I + λ·T in fp64, on the parameters for which `inside(name)`."""
        p, q = self.ends
        state = {n: ((1 - lam) * p[n].double() + lam * q[n].double()).float() if inside(n) else p[n] for n in p}
        self.plain.load_state_dict(state)
        return self.plain

    def generate(self, lam: float, prompt: Sequence[int], tokens: int, **more) -> list[int]:
        """Greedy `generate` of `transformers`, which would take an id 0 in the prompt for padding without a mask."""
        ids = torch.tensor([list(prompt)])
        with torch.no_grad():
            out = self.fold(lam, **more).generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=None,
                pad_token_id=0,
                use_cache=True,
            )
        return out[0, len(prompt) :].tolist()


def other_pair(kind: str, folder: Path) -> Pair:
    """Two random models of an architecture that the shared fixtures do not have."""
    torch.manual_seed(7)
    model = AutoModelForCausalLM.from_config(OTHERS[kind], dtype=torch.float32)
    for seed, role in enumerate(("instruct", "thinking")):
        torch.manual_seed(seed)
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p) * (0.15 if seed == 0 else 0.05))
        model.save_pretrained(folder / role)
    return Pair(f"{kind}-fixture", str(folder / "instruct"), str(folder / "thinking"))


def prompt(length: int, seed: int = 0, vocab: int = 96) -> tuple[int, ...]:
    return tuple(torch.randint(1, vocab, (length,), generator=torch.Generator().manual_seed(seed)).tolist())


def greedy(cap: int = 24) -> Decoding:
    return Decoding(temperature=0, cap=cap)


def run(engine: Engine, requests: Sequence[Request]) -> dict[str, list[int]]:
    """Token ids per request; fails if a request failed."""
    out: dict[str, list[int]] = {r.id: [] for r in requests}
    for event in engine.submit(requests):
        assert not isinstance(event, Failed), event
        if isinstance(event, Token):
            assert event.index == len(out[event.id])
            out[event.id].append(event.token)
        if isinstance(event, Finished):
            assert event.tokens == len(out[event.id])
    return out
