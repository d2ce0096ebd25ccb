"""Text from blends: prompts under recipes come in (`GenerationRequest`), growing traces go out (`Snapshot`).

`snapshots.py` holds these values, `generate.py` runs them on an engine, `scores.py` looks at a finished trace token by token, and
`traces/` reads thoughts, answers and markers from text. Nothing here knows studies or pages.
"""
