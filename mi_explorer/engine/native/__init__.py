"""The native backend: our own decoder for Llama, Mistral, Qwen2, Qwen3, Qwen3-MoE and their kin.

In: token ids [slots, tokens] at positions, and a blend for all slots (folded) or for each (row-wise). Out: logits in fp32.
`layout` reads the tensors' names and sizes · `endpoints` holds P and Q · `weights` multiplies by a blend of them · `decoder` is
the forward pass · `paged_attention`, `packed` and `recorded_steps` make it quicker where they prove that they do ·
`native_backend` is what the engine calls.
"""
