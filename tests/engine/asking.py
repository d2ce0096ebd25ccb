"""Prompts and requests that several files ask the engine, and step times that make row-wise steps dear."""

from hypothesis import strategies as st

from mi_explorer.engine.costs import Costs
from mi_explorer.recipe import Decoding
from tests.engine.lab import prompt

SLOW_ROWS = Costs({"folded": [(1, 1.0), (64, 1.2)], "rowwise": [(1, 9.0), (64, 99.0)]}, fold=0.01)
PROMPTS = [prompt(6, 1), prompt(23, 2), prompt(40, 3)]
asks = st.tuples(
    st.sampled_from((0.0, 0.3, 0.5, 1.0)),
    st.integers(0, 2),
    st.builds(
        Decoding,
        temperature=st.sampled_from((0.0, 0.8, 1.5)),
        top_k=st.sampled_from((0, 5, 20)),
        top_p=st.sampled_from((0.7, 1.0)),
        cap=st.integers(1, 20),
        seed=st.integers(0, 3),
    ),
)
