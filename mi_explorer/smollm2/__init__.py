"""The pair that speaks: SmolLM2-135M-Instruct and a LoRA adapter that makes it think, trained here.

`problem` is one problem with its solution, `number_problems` and `word_problems` draw them, `everyday` holds questions without a
computation, `thoughts` writes responses, `documents` makes batches of them, `adapter` is the LoRA, `train` the loop, `instruct` reads the
parent from a GGUF file, `evaluate` measures. `python -m mi_explorer.smollm2` runs them (docs/smollm2.md).
"""
