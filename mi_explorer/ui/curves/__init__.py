"""The Curves tab: studies over λ, their samples, sweeps in the background, comparisons."""

from mi_explorer.ui.curves.curves_tab import build_curves_tab

__all__ = ["build_curves_tab"]
