"""Where finished samples are kept: an SQLite file in the home folder, Parquet files to travel in, precomputed ones to look at.

In: plans, samples and their traces. Out: the same, equal to the last bit; a fault of a file is a `StoreError` in words.
"""
