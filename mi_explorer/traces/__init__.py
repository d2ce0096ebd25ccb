"""Traces: a response's tokens folded into text, thought, answer and the measures of how it got there. No models, no tensors."""

from mi_explorer.traces.fold import TraceFold, trace_of, trace_of_text
from mi_explorer.traces.markers import GROUPS, Mark
from mi_explorer.traces.tags import ThinkTags
from mi_explorer.traces.trace import Running, Trace

__all__ = ["GROUPS", "Mark", "Running", "ThinkTags", "Trace", "TraceFold", "trace_of", "trace_of_text"]
