"""What the engine's benchmarks ask: prompts, pairs, requests, and the usual way that they are compared with."""

import json
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen3Config

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.events import Failed, Finished, Request
from mi_explorer.pairs import Pair
from mi_explorer.recipe import Decoding, Recipe

LAMS = tuple(i / 10 for i in range(11))


ROOT = Path(__file__).resolve().parents[2]


QUESTIONS = ROOT / "assets" / "tasks" / "mini.jsonl"


class Usual:
    """Blend into a resident model (lerp in place), then `generate`; finished rows stay in the batch, as they do."""

    def __init__(self, resident: ResidentPair):
        pair, dtype = resident.pair, resident.dtype
        self.model = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=dtype).eval()
        self.ends = [
            AutoModelForCausalLM.from_pretrained(p, dtype=dtype).state_dict() for p in (pair.instruct, pair.thinking)
        ]

    @torch.no_grad()
    def fold(self, lam: float) -> None:
        state = self.model.state_dict()
        for name, out in state.items():
            torch.lerp(self.ends[0][name], self.ends[1][name], lam, out=out)

    @torch.no_grad()
    def batch(self, lam: float, prompts: list[tuple[int, ...]], cap: int, stops: tuple[int, ...]) -> int:
        """Fold, generate, and count the tokens that belong to the responses."""
        self.fold(lam)
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
        out = self.model.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=cap,
            do_sample=False,
            eos_token_id=list(stops) or None,
            pad_token_id=0,
            use_cache=True,
        )[:, width:].tolist()
        return sum(next((i for i, t in enumerate(row) if t in stops), len(row)) for row in out)


def ours(engine: Engine, requests: list[Request]) -> tuple[int, float]:
    """Tokens and seconds from submission to the last event."""
    start, tokens = time.perf_counter(), 0
    for event in engine.submit(requests):
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            tokens += event.tokens
    return tokens, time.perf_counter() - start


def mini_prompts(resident: ResidentPair, n: int) -> tuple[list[tuple[int, ...]], tuple[int, ...]]:
    """The first n questions of the embedded task as its template writes them, and the stop ids."""
    tokenizer = AutoTokenizer.from_pretrained(resident.pair.thinking)
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()[:n]
    texts = [json.loads(line)["question"] for line in lines]
    chats = [
        tokenizer.apply_chat_template([{"role": "user", "content": t}], add_generation_prompt=True, return_dict=False)
        for t in texts
    ]
    return [tuple(chat) for chat in chats], (tokenizer.eos_token_id,)


def medium_pair(folder: Path) -> Pair:
    """Two random Qwen3 checkpoints of 135M parameters in bf16."""
    shape = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
    }
    config = Qwen3Config(vocab_size=49152, tie_word_embeddings=True, max_position_embeddings=2048, **shape)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    torch.manual_seed(1)
    for name in ("instruct", "thinking"):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p) * 0.02)
        model.save_pretrained(folder / name)
    return Pair("medium", str(folder / "instruct"), str(folder / "thinking"))


def strip_requests(
    resident: ResidentPair, prompt: tuple[int, ...], cap: int, stops: tuple[int, ...], caps: tuple[int, ...] = ()
) -> list[Request]:
    return [
        Request(
            str(lam),
            prompt,
            Recipe(resident.pair.name, lam=lam),
            Decoding(temperature=0, cap=caps[i] if caps else cap),
            stops,
        )
        for i, lam in enumerate(LAMS)
    ]
