"""Studies on several workers: processes of this machine or actors of a Ray cluster. The driver alone owns the plan and the store.

In: a plan, a store, a number of workers or a cluster's address. Out: the same samples as one engine would make.
"""
