"""Blends the plain way: a state dict by the definition, in `transformers`, decoded greedily."""

import torch
from transformers import AutoModelForCausalLM

from mi_explorer.library import export
from mi_explorer.prompts import Prompts


class Plain:
    """One pair."""

    def __init__(self, pair):
        self.pair = pair
        self.model = AutoModelForCausalLM.from_pretrained(pair.instruct, dtype=torch.float32).eval()
        self.ends = [
            AutoModelForCausalLM.from_pretrained(place, dtype=torch.float32).state_dict()
            for place in (pair.instruct, pair.thinking)
        ]
        self.prompts = Prompts.load([pair.instruct, pair.thinking], pair)

    def greedy(self, recipe, question, tokens):
        """Response ids at the recipe's λ (linear, all of the model)."""
        p, q = self.ends
        lam = recipe.lam
        self.model.load_state_dict({n: ((1 - lam) * p[n].double() + lam * q[n].double()).float() for n in p})
        return self.decode(self.model, recipe, question, tokens)

    def exported(self, recipe, question, tokens, folder):
        """The same of the folder that `export` writes for any recipe."""
        if not folder.exists():
            export(recipe, folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        return self.decode(model, recipe, question, tokens)

    def decode(self, model, recipe, question, tokens):
        ids = torch.tensor([self.prompts.render(question, recipe).ids])
        with torch.no_grad():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                eos_token_id=list(self.prompts.stop_ids),
                pad_token_id=self.prompts.stop_ids[0],
            )
        made = out[0, ids.shape[1] :].tolist()
        return made[:-1] if made and made[-1] in self.prompts.stop_ids else made
