"""Layers that do not fit on the devices: their parameters are on `meta`, and what is written to them is lost."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from mi_explorer.checkpoints.model_config import model_class
from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.errors import UserError
from mi_explorer.recipe import Recipe


def test_a_pair_with_layers_moved_away_is_refused_and_not_run_as_instruct(labs, monkeypatch):
    lab = labs("gpt2")
    real = AutoModelForCausalLM.from_pretrained(lab.pair.instruct, dtype=torch.float32)
    real.transformer.h[1].to("meta")  # what accelerate leaves of an offloaded layer
    monkeypatch.setattr(model_class(real.config), "from_pretrained", lambda *args, **more: real)
    with pytest.raises(UserError, match=r"transformer\.h\.1\."):
        Engine(ResidentPair.load(lab.pair, device="auto"), max_rows=2, max_context=32)


def test_the_same_pair_whole_is_blended_when_it_is_spread(labs):
    pytest.importorskip("accelerate")
    lab = labs("gpt2")
    resident = ResidentPair.load(lab.pair, device="auto")
    recipe = Recipe(lab.pair.name, lam=0.5)
    model = resident.load_weights()
    model.fold(recipe.hash, resident.blend(recipe))
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(model.module(ids).logits, lab.fold(0.5)(ids).logits, atol=1e-4, rtol=1e-4)
