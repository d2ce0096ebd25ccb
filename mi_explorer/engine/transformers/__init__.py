"""The backend for any other causal language model: `transformers`' own modules.

In: token ids [slots, tokens] at positions, and a blend for all slots (folded) or for each (row-wise). Out: logits in fp32.
`transformers_backend` is what the engine calls, with the resident model · `caches` keeps keys, values or other states by slot ·
`rowwise` lets a module's parameters answer for both endpoints.
"""
