"""The native backend: our own decoder for Llama, Mistral, Qwen2, Qwen3, Qwen3-MoE and their kin.

In: token ids [slots, tokens] at positions, and a blend for all slots (folded) or for each (row-wise). Out: logits in fp32.
`layout` reads the tensors' names and sizes · `endpoints` holds P and Q · `weights` multiplies by a blend of them · `decoder` is
the forward pass · `packed` makes products of few rows quicker · `native_backend` is what the engine calls.
"""
