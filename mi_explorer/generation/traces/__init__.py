"""Traces: from a response's tokens to text, thought, answer and the measures of how it got there. No models, no tensors."""

from mi_explorer.generation.traces.markers import GROUPS, Mark
from mi_explorer.generation.traces.response_trace import RunningAnswer, Trace
from mi_explorer.generation.traces.tags import ThinkTags
from mi_explorer.generation.traces.trace_builder import TraceBuilder, trace_of, trace_of_text

__all__ = ["GROUPS", "Mark", "RunningAnswer", "ThinkTags", "Trace", "TraceBuilder", "trace_of", "trace_of_text"]
