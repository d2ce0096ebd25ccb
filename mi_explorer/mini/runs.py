"""The training runs of the embedded trio, as values. Change a number here and `make mini` builds the variation.

The base reads every format that a fine-tune will ask of it, with as many checks as Thinking writes but fewer of them; its
second phase dwells on the families that need a search. Before each check the base stops with even odds, while Thinking writes
0 to 7 checks equally often, so that a blend's thoughts grow with λ to the end. The fine-tunes keep embedding and final norm,
and hardly move the first third of the layers and the attention: what makes a blend think lies in the later MLPs, as in the
large pairs.
"""

from dataclasses import replace

from mi_explorer.mini.documents import Mix
from mi_explorer.mini.render import Style
from mi_explorer.mini.train import Run

SEARCHING = (("pairs", 2.4), ("tickets", 1.6), ("remainders", 2.2), ("sequences", 1.6))
HALVING = (0.5, 0.25, 0.125, 0.0625, 0.0312, 0.0156, 0.0078, 0.0078)  # 0 to 7 checks
EVEN = (1.0,) * 8

BASE = Run(
    "base",
    Mix(
        Style(short=0.28, worked=0.28, thought=0.44, checks=HALVING, slip=0.15),
        facts=0.2,
        plain=0.1,
        learn_question=0.2,
    ),
    steps=3700,
    lr=4e-3,
    muon_lr=3e-3,
)
BASE_SEARCHING = replace(
    BASE,
    name="base, second phase",
    mix=replace(
        BASE.mix, facts=0.12, weights=SEARCHING, style=replace(BASE.mix.style, short=0.2, worked=0.2, thought=0.6)
    ),
    steps=600,
    lr=1.2e-3,
    muon_lr=1.2e-3,
    warmup=20,
    seed=50,
)
INSTRUCT = Run(
    "instruct",
    Mix(Style(short=0.62, worked=0.38, thought=0.0)),
    steps=130,
    lr=5e-4,
    warmup=20,
    freeze=True,
    early_scale=0.1,
    attention_scale=0.1,
    seed=1,
)
THINKING = replace(
    INSTRUCT,
    name="thinking",
    mix=Mix(
        Style(short=0.002, worked=0.034, thought=0.964, checks=EVEN, slip=0.1),
        weights=(("pairs", 1.6), ("tickets", 1.2), ("remainders", 2.2), ("sequences", 1.8)),
    ),
    steps=480,
    lr=6e-4,
    attention_scale=0.3,
    seed=2,
)

# Every role is a chain of runs: the first starts from nothing (base) or from the finished base, each next from the one before.
ROLES = {"base": (BASE, BASE_SEARCHING), "instruct": (INSTRUCT,), "thinking": (THINKING,)}
