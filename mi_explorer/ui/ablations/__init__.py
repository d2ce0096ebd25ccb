"""The Ablations tab: the paper's five ablations, run here and drawn beside the paper's own numbers."""

from mi_explorer.ui.ablations.ablations_tab import build_ablations_tab

__all__ = ["build_ablations_tab"]
