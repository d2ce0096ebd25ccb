"""A thousand short requests from 16 threads with random cancels: every request ends once, and nothing is left behind."""

import gc
import random
import threading

import torch

from mi_explorer.engine import Engine
from mi_explorer.engine.events import BULK, INTERACTIVE, Admitted, Failed, Finished, Request, Token, Verified
from mi_explorer.recipe import Decoding
from tests.engine.lab import CHEAP_ROWS, prompt

THREADS, REQUESTS = 16, 60


def test_soak(labs):
    lab = labs("qwen3")
    prompts = [prompt(n, n) for n in (3, 9, 20, 33)]
    solo: dict[tuple, list[int]] = {}
    wrong: list[str] = []
    ended = [0] * THREADS
    before = set(threading.enumerate())

    def key(r: Request) -> tuple:
        return r.recipe.lam, r.prompt, r.decoding

    with Engine(lab.resident, max_rows=16, max_context=96, costs=CHEAP_ROWS) as engine:

        def user(number: int) -> None:
            rng = random.Random(number)
            left = REQUESTS
            while left:
                n = min(left, rng.randint(1, 12))
                left -= n
                requests = [
                    Request(
                        f"{number}-{left}-{i}",
                        rng.choice(prompts),
                        lab.recipe(rng.choice((0.0, 0.25, 0.5, 1.0))),
                        Decoding(
                            temperature=rng.choice((0, 1)), top_k=5, cap=rng.randint(1, 9), seed=rng.randint(0, 2)
                        ),
                        priority=rng.choice((INTERACTIVE, BULK)),
                    )
                    for i in range(n)
                ]
                stream = engine.submit(requests)
                victim = rng.choice(requests).id if rng.random() < 0.4 else None
                tokens: dict[str, list[int]] = {r.id: [] for r in requests}
                ends: dict[str, str] = {}
                for event in stream:
                    if isinstance(event, Token):
                        tokens[event.id].append(event.token)
                    if isinstance(event, (Finished, Failed)):
                        if event.id in ends or isinstance(event, Failed):
                            wrong.append(f"{event}")
                        ends[event.id] = getattr(event, "reason", "failed")
                    elif not isinstance(event, (Admitted, Token, Verified)):
                        wrong.append(f"{event}")
                    if victim is not None and rng.random() < 0.3:
                        stream.cancel([victim] if rng.random() < 0.7 else None)
                        victim = None
                ended[number] += len(ends)
                if set(ends) != {r.id for r in requests}:
                    wrong.append(f"{number}: {sorted(ends)}")
                for r in requests:
                    full = solo.setdefault(key(r), tokens[r.id]) if ends[r.id] == "cap" else None
                    if full is not None and full != tokens[r.id]:
                        wrong.append(f"{r.id}: differs from an equal request")

        threads = [threading.Thread(target=user, args=(i,), daemon=True) for i in range(THREADS)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        assert not any(t.is_alive() for t in threads)
        assert not wrong, wrong[:5]
        assert sum(ended) == THREADS * REQUESTS
        status = engine.status()
        assert (status.rows, status.waiting, status.slots) == (0, 0, 0)
        assert not engine.batch.sequences and not any(engine.batch.slots)
        held = engine.backend.cache.kv.shape
        blocks = engine.backend.cache.blocks
        assert blocks.free == blocks.blocks == engine.memory.blocks, "every block came back"
    assert not set(threading.enumerate()) - before, "threads of other tests may end meanwhile, but none of these stays"
    engine = status = None  # nothing but the cache itself may hold the cache
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, torch.Tensor) and o.shape == held], (
        "the cache is freed with the engine"
    )
