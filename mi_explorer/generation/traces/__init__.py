"""Traces: a response's tokens folded into text, thought, answer and the measures of how it got there. No models, no tensors."""

from mi_explorer.generation.traces.markers import GROUPS, Mark
from mi_explorer.generation.traces.response_trace import Running, Trace
from mi_explorer.generation.traces.tags import ThinkTags
from mi_explorer.generation.traces.trace_builder import TraceFold, trace_of, trace_of_text

__all__ = ["GROUPS", "Mark", "Running", "ThinkTags", "Trace", "TraceFold", "trace_of", "trace_of_text"]
