"""Blends: a `Recipe` and the open `Parents` of a pair come in, blended tensors or a checkpoint folder go out.

`blend.bind` gives a `PairBlend`, what the engine (`coefficients.py` is the contract), `merged_weights.py` and `export.py` ask for numbers.
`methods/` holds one file for each merge method. `distances.py` and `block_profile.py` measure a pair.
"""
