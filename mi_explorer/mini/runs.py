"""The three training runs of the embedded trio, as values. Change a number here and `make mini` builds the variation."""

from mi_explorer.mini.documents import Mix
from mi_explorer.mini.render import Style
from mi_explorer.mini.train import Run

# The base reads every format that a fine-tune will ask of it, with as many checks as Thinking writes (but fewer of them).
BASE = Run(
    "base",
    Mix(Style(short=0.28, worked=0.28, thought=0.44, checks=(0.3, 0.3, 0.2, 0.1, 0.06, 0.04), slip=0.15), facts=0.2, plain=0.1, learn_question=0.2),
    steps=3700, lr=4e-3, muon_lr=3e-3,
)
INSTRUCT = Run("instruct", Mix(Style(short=0.75, worked=0.25, thought=0.0)), steps=150, lr=5e-4, warmup=20, freeze=True, seed=1)
THINKING = Run(
    "thinking",
    Mix(Style(short=0.01, worked=0.03, thought=0.96, checks=(0.0, 0.1, 0.25, 0.3, 0.2, 0.15), slip=0.1)),
    steps=260, lr=5e-4, warmup=20, freeze=True, seed=2,
)
