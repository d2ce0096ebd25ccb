"""What samples say: measures with intervals, curves over λ, their stages, and the paper's claims put to the test.

In: samples (a store's, or any rows with their fields). Out: numbers with n and an interval; nothing here draws or prints.
"""
