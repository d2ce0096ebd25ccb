"""The Ablations tab: the paper's five ablations, run here and drawn beside the paper's own numbers."""

from mi_explorer.ui.ablations.tab import fill

__all__ = ["fill"]
