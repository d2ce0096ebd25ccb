"""The tab Take away: recipes, checkpoints, studies and reports, out of the page and in again."""

from mi_explorer.ui.takeaway.takeaway_tab import build_takeaway_tab

__all__ = ["build_takeaway_tab"]
