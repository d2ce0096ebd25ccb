"""Search: which blends give the most accuracy for the fewest tokens, and which λ a question needs.

In: a pair's workbench, a task's questions, what may vary (`SearchSpace`) and how much to spend (`SearchSettings`). Out: a frontier of
recipes that was measured anew on questions which the search never saw (`SearchResult`).
"""
