"""The Search tab: the best blends for their tokens, what was found of them, and a profile that is edited by hand."""

from mi_explorer.ui.search.search_tab import build_search_tab

__all__ = ["build_search_tab"]
