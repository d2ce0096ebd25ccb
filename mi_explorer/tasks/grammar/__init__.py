"""What an answer may be: a small, exact grammar of numbers, expressions, collections, times, choices and words.

In: the text of an answer, in plain writing or LaTeX. Out: a `Value`, which compares exactly. Nothing is evaluated that could
run long; what the grammar does not know stays text and never becomes a number that happens to stand in it.
"""
