"""The Weights tab: how far the parents of a pair are apart, where, and what that says about blending them."""

from mi_explorer.ui.weights.weights_tab import build_weights_tab

__all__ = ["build_weights_tab"]
