"""What lies on a disk or a hub: two checkpoints and perhaps their base, read as their authors meant them.

In: a `Pair` (folders, hub ids, LoRA adapters). Out: a `Preflight` (verdict and findings, from configs and headers alone) and
`Parents` (the open checkpoints, matched tensor by tensor). Both come from one `PairReading`, so that what preflight accepts
runs, and what it refuses nothing blends. No weight is blended here.
"""
