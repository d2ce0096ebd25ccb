"""LoRA adapters as `peft` saves them, and what `peft` itself makes of one: its merge, its logits."""

import json

import peft
import torch
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.merging.blend import bind
from mi_explorer.merging.export import export_checkpoint
from mi_explorer.recipe import Recipe

KINDS = {
    "plain": {"target_modules": ["q_proj", "v_proj", "down_proj"]},
    "all": {"target_modules": "all-linear"},
    "rslora": {"target_modules": ["q_proj"], "use_rslora": True},
    "patterns": {
        "target_modules": ["q_proj", "up_proj"],
        "rank_pattern": {"up_proj": 2},
        "alpha_pattern": {"layers.1.self_attn.q_proj": 3},
    },
    "saved": {"target_modules": ["o_proj"], "modules_to_save": ["norm"]},
    "bias": {"target_modules": ["q_proj"], "bias": "lora_only"},
}


def make_adapter(base, folder, seed=3, **settings):
    """An adapter with random factors, saved by `peft`."""
    return save_adapter(base, folder, peft.LoraConfig(**{"r": 4, "lora_alpha": 6, **settings}), seed)


def save_adapter(base, folder, config, seed=3):
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    torch.manual_seed(seed)
    wrapped = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, p in wrapped.named_parameters():
            if "lora_" in name or p.requires_grad:
                p.add_(torch.randn_like(p) * 0.05)
    wrapped.save_pretrained(folder)
    return folder


def merged(base, folder):
    """`peft`'s own merge in fp32: checkpoint name → tensor."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return peft.PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()


def logits(model):
    ids = torch.arange(18).view(2, 9) * 5 % 96
    with torch.no_grad():
        return model.eval()(ids).logits


def peft_logits(base, folder):
    """Logits of `PeftModel.from_pretrained`, unmerged."""
    return logits(
        peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder)
    )


def exported_logits(pair, lam, out):
    """Logits of the exported blend as `transformers` loads it."""
    export_checkpoint(bind(Recipe(lam=lam), Parents.open(pair)), out)
    return logits(AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32))


def edit(folder, **changes):
    """Change adapter_config.json."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return folder
