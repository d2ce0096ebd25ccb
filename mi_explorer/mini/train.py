"""Training on a CPU: one loop for base, Instruct and Thinking, resumable, with a log line a minute.

Matrices are trained by Muon in the base and by AdamW in the fine-tunes; embeddings, norms by AdamW. Fine-tunes freeze the
embedding and the final norm, so that what turns a blend into a thinker lies in the layers, as in large models.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

from mi_explorer.mini.documents import Mix, batches
from mi_explorer.mini.tokenizer import END_OF_TEXT, IM_END
from mi_explorer.untyped import JsonObject

SIZE: JsonObject = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}


@dataclass(frozen=True)
class Run:
    """One training run. `steps` batches of `tokens` tokens; learning rates peak after `warmup` steps and fall linearly."""

    name: str
    mix: Mix
    steps: int
    lr: float
    tokens: int = 8192
    warmup: int = 100
    floor: float = 0.05
    muon_lr: float | None = None  # None: AdamW for everything
    freeze: bool = False  # embedding and final norm stay as they are
    early_scale: float = 1.0  # learning rate factor of the first third of the layers
    attention_scale: float = 1.0  # learning rate factor of the attention matrices
    seed: int = 0


def new_model(tokenizer: Tokenizer, seed: int) -> Qwen3ForCausalLM:
    """A freshly initialised model of `SIZE` in fp32."""
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(IM_END),
        pad_token_id=tokenizer.token_to_id(END_OF_TEXT),
        **SIZE,
    )
    return Qwen3ForCausalLM(config)


def optimizers(model: Qwen3ForCausalLM, run: Run) -> list[torch.optim.Optimizer]:
    """The optimizers of a run, every group with its own peak learning rate in `peak`."""
    if run.freeze:
        model.model.embed_tokens.weight.requires_grad_(False)
        model.model.norm.weight.requires_grad_(False)
    third = model.config.num_hidden_layers // 3
    groups: dict[float, list[torch.nn.Parameter]] = {}
    matrices = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if run.muon_lr and p.ndim == 2 and "embed" not in name:
            matrices.append(p)
            continue
        scale = 1.0
        if ".layers." in name:
            scale *= run.early_scale if int(name.split(".layers.")[1].split(".")[0]) < third else 1.0
            scale *= run.attention_scale if "self_attn" in name else 1.0
        groups.setdefault(scale, []).append(p)
    made: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            [{"params": ps, "peak": run.lr * scale, "lr": 0.0} for scale, ps in groups.items()],
            betas=(0.9, 0.95),
            weight_decay=0.0,
        )
    ]
    if matrices:
        made.append(
            torch.optim.Muon(
                [{"params": matrices, "peak": run.muon_lr, "lr": 0.0}],
                momentum=0.95,
                weight_decay=0.0,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return made


def loss_of(model: Qwen3ForCausalLM, ids: torch.Tensor, learn: torch.Tensor) -> torch.Tensor:
    """Mean next-token loss in nats over the learned positions; the head runs on those alone."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.lm_head(hidden[:, :-1][learn[:, 1:]])
    return torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:][learn[:, 1:]])


def train(
    run: Run, tokenizer: Tokenizer, folder: Path, start: Path | None = None, save_every: float = 240.0
) -> Qwen3ForCausalLM:
    """Train `run`, resuming from `folder/state.pt` if it is there; returns the model in fp32 and writes `folder/log.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = (
        new_model(tokenizer, run.seed)
        if start is None
        else Qwen3ForCausalLM.from_pretrained(start, dtype=torch.float32)
    )
    opts = optimizers(model, run)
    state = folder / "state.pt"
    step, first_pool, seconds = 0, 0, 0.0
    if state.exists():
        saved = torch.load(state, weights_only=True)
        model.load_state_dict(saved["model"])
        for opt, values in zip(opts, saved["optimizers"]):
            opt.load_state_dict(values)
        step, first_pool, seconds = saved["step"], saved["pool"] + 1, saved["seconds"]
    model.set_attn_implementation("eager")  # compiled, it takes 0.6 of the CPU time of the flash kernel at these sizes
    for layer in model.model.layers:
        layer.compile(dynamic=True)
    began, logged, kept = time.monotonic(), time.monotonic(), time.monotonic()
    losses, seen = [], 0
    source = batches(tokenizer, run.mix, run.seed, run.tokens, first_pool)
    pool_now = first_pool
    while step < run.steps:
        pool_now, ids, learn = next(source)
        share = min((step + 1) / run.warmup, 1.0) * max(
            run.floor, 1.0 - max(0, step - run.warmup) / max(1, run.steps - run.warmup)
        )
        for opt in opts:
            for group in opt.param_groups:
                group["lr"] = group["peak"] * share
        loss = loss_of(model, ids, learn)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        step += 1
        losses.append(loss.item())
        seen += ids.numel()
        now = time.monotonic()
        if now - logged > 30 or step == run.steps:
            line = {
                "run": run.name,
                "step": step,
                "of": run.steps,
                "loss": round(sum(losses) / len(losses), 4),
                "tokens_per_second": round(seen / (now - logged)),
                "seconds": round(seconds + now - began),
            }
            print(json.dumps(line), flush=True)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            losses, seen, logged = [], 0, now
        if now - kept > save_every:
            half = state.with_suffix(".part")
            torch.save(
                {
                    "model": model.state_dict(),
                    "optimizers": [o.state_dict() for o in opts],
                    "step": step,
                    "pool": pool_now,
                    "seconds": seconds + now - began,
                },
                half,
            )
            half.replace(state)
            kept = now
    with (folder / "log.jsonl").open("a") as log:
        log.write(
            json.dumps({"run": run.name, "done": True, "seconds": round(seconds + time.monotonic() - began)}) + "\n"
        )
    state.unlink(missing_ok=True)
    return model


def save(model: Qwen3ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the model in bf16 as `from_pretrained` reads it: config, weights, tokenizer, generation config."""
    from transformers import GenerationConfig

    from mi_explorer.mini.tokenizer import save_tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    clean = Qwen3ForCausalLM(model.config)
    clean.load_state_dict({k.replace("_orig_mod.", ""): v for k, v in model.state_dict().items()})
    clean = clean.to(torch.bfloat16)  # type: ignore[arg-type]
    clean.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.6,
        top_p=0.95,
        top_k=20,
        max_new_tokens=512,
        eos_token_id=model.config.eos_token_id,
        pad_token_id=model.config.pad_token_id,
    )
    clean.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
