"""The pair that speaks: SmolLM2-135M-Instruct and a LoRA adapter that makes it think, trained here.

`word_problem` is one problem with its solution, `number_problems` and `word_problems` draw them, `everyday` holds questions without a
computation, `responses` writes thoughts and answers, `chat_documents` makes batches of them, `low_rank` is the adapter, `train_adapter` the
loop, `instruct` reads the parent from a GGUF file, `evaluate` measures everyday questions. `python -m mi_explorer.smollm2` runs them.
"""
