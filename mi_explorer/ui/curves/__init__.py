"""The Curves tab: studies over λ, their samples, sweeps in the background, comparisons."""

from mi_explorer.ui.curves.curves_tab import fill

__all__ = ["fill"]
