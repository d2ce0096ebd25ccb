"""How the embedded pair is made: problems, tokenizer, documents, training, evaluation, model card.

`python -m mi_explorer.mini all` retrains base, Instruct and Thinking from nothing on a CPU.
"""
