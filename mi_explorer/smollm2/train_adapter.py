"""Training the adapter on a CPU: resumable, with log lines and checkpoints.

It is trained at the strengths (λ) at which it will be used. At full strength alone, blends at λ 0.5 opened a thought and closed 8 % of
them. So half of the steps learn thoughts at a strength between 0.3 and 1, and some learn below 0.25 what Instruct itself says.
"""

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from mi_explorer.smollm2 import low_rank
from mi_explorer.smollm2.chat_documents import Chat, chat_batches, plain_batch
from mi_explorer.smollm2.everyday import Everyday
from mi_explorer.untyped import ModelModule

BASE = "HuggingFaceTB/SmolLM2-135M-Instruct"


@dataclass(frozen=True)
class AdapterRun:
    """`steps` batches of about `tokens` padded tokens; the rate `lr` rises over `warmup` steps and falls linearly to `floor` of it.

    Shares of steps: `plain` learn Instruct's own responses at a strength below 0.25, `full` learn thoughts at strength 1, the rest learn
    thoughts at a strength between 0.3 and 1."""

    steps: int = 1500
    tokens: int = 2048
    lr: float = 1e-3
    warmup: int = 30
    floor: float = 0.05
    seed: int = 0
    plain: float = 0.1
    full: float = 0.5

    def rate(self, step: int) -> float:
        """Learning rate of a step, from 0."""
        left = 1 - max(0, step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * min((step + 1) / self.warmup, 1.0) * max(self.floor, left)

    def strength(self, step: int) -> tuple[float, bool]:
        """(Strength of the factors, whether it learns a plain response) of a step."""
        rng = random.Random(f"strength-{self.seed}-{step}")
        share = rng.random()
        if share < self.plain:
            return rng.uniform(0, 0.25), True
        return (1.0 if share < self.plain + self.full else rng.uniform(0.3, 1)), False


def learned_loss(model: ModelModule, ids: torch.Tensor, learn: torch.Tensor) -> torch.Tensor:
    """Mean next-token loss in nats over the learned positions; the head runs on those alone."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][learn[:, 1:]]
    return torch.nn.functional.cross_entropy(model.lm_head(hidden).float(), ids[:, 1:][learn[:, 1:]])


def train_low_rank(
    run: AdapterRun,
    instruct: Path,
    answers: Sequence[tuple[Everyday, str]],
    plain: Sequence[tuple[str, str]],
    folder: Path,
    start: Path | None = None,
    compiled: bool = False,
    save_every_s: float = 180.0,
) -> None:
    """Train into `folder/adapter`, resuming from `folder/state.pt` if it is there.

    `answers`: everyday questions with Instruct's answers; `plain`: (question, Instruct's own response); `start`: an adapter to begin with;
    `compiled`: layers through torch.compile, quicker once compiled, needs a C++ compiler."""
    from transformers import AutoModelForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(run.seed)
    model: ModelModule = AutoModelForCausalLM.from_pretrained(
        instruct, dtype=torch.bfloat16, attn_implementation="eager"
    )
    factors = low_rank.attach_factors(model)
    if start is not None:
        low_rank.load_factors(factors, start)
    if compiled:
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    parameters = [p for pair in factors.values() for p in pair.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=run.lr, betas=(0.9, 0.95), weight_decay=0.0)
    state, step, number, seen = folder / "state.pt", 0, -1, 0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        for parameter, value in zip(parameters, saved["parameters"], strict=True):
            parameter.data.copy_(value)
        optimizer.load_state_dict(saved["optimizer"])
        step, number, seen = saved["step"], saved["pool"], saved["tokens"]
    chat = Chat.load(str(instruct))
    source = chat_batches(chat, answers, run.seed, run.tokens, number + 1)
    logged, kept, before = time.monotonic(), time.monotonic(), seen
    losses: list[float] = []
    while step < run.steps:
        strength, is_plain = run.strength(step)
        if is_plain:
            ids, learn = plain_batch(chat, plain, random.Random(f"plain-{run.seed}-{step}"), run.tokens)
        else:
            number, ids, learn = next(source)
        for group in optimizer.param_groups:
            group["lr"] = run.rate(step)
        for pair in factors.values():
            pair.set_strength(strength)
        loss = learned_loss(model, ids, learn)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + ids.numel()
        losses.append(loss.item())
        now = time.monotonic()
        if now - logged > 30 or step == run.steps:
            line = {
                "step": step,
                "of": run.steps,
                "loss": round(sum(losses) / len(losses), 4),
                "tokens": seen,
                "tokens_per_second": round((seen - before) / (now - logged)),
            }
            print(json.dumps(line), flush=True)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            losses, logged, before = [], now, seen
        if now - kept > save_every_s or step == run.steps:
            half = state.with_suffix(".part")
            torch.save(
                {
                    "parameters": [p.detach() for p in parameters],
                    "optimizer": optimizer.state_dict(),
                    "step": step,
                    "pool": number,
                    "tokens": seen,
                },
                half,
            )
            half.replace(state)
            low_rank.save_factors(factors, BASE, folder / "adapter")
            kept = now
