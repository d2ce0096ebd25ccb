"""The engine on a second device: no tensor of the CPU meets one of the device, and modes, decodings and models give the CPU's tokens."""

import numpy as np
import pytest
import torch

from mi_explorer.engine import Engine, ResidentPair
from mi_explorer.engine.events import Request
from mi_explorer.engine.sampler import Sampler, noise
from mi_explorer.recipe import Decoding
from tests.engine.lab import CHEAP_ROWS, greedy, prompt, run
from tests.engine.stand_in_device import DEVICE, MixedDevices, counts, stand_in

DECODINGS = {
    "greedy": greedy(20),
    "top-k": Decoding(temperature=0.6, top_p=0.95, top_k=20, cap=20, seed=1),
    "no top-k": Decoding(temperature=0.8, top_p=0.9, top_k=0, cap=20, seed=2),
    "penalty": Decoding(temperature=0.7, top_p=1.0, top_k=0, min_p=0.02, repetition_penalty=1.2, cap=20, seed=3),
}
KERNELS_A_LAYER = {"rowwise": 22, "folded": 19}  # of a decode step
KERNELS_AROUND = 18  # embedding, mask, places in the cache, final norm, head


def requests(lab):
    return [
        Request(f"{name} {lam}", prompt(7 + i, i), lab.recipe(lam), decoding)
        for i, (name, decoding) in enumerate(DECODINGS.items())
        for lam in (0.0, 0.5, 1.0)
    ]


@pytest.mark.parametrize("only", ["rowwise", "fold", "auto"])
@pytest.mark.parametrize("kind", ["qwen3", "qwen3-biased", "gpt2"])
def test_the_device_gives_the_cpus_tokens(labs, kind, only):
    lab = labs(kind)
    with Engine(ResidentPair.load(lab.pair), max_rows=12, max_context=64, only=only, costs=CHEAP_ROWS) as engine:
        want = run(engine, requests(lab))
    with stand_in() as device, torch.no_grad():
        resident = ResidentPair.load(lab.pair, device=device, dtype=torch.float32)
        with Engine(resident, max_rows=12, max_context=64, only=only, costs=CHEAP_ROWS) as engine:
            got = run(engine, requests(lab))
            assert engine.backend.device == DEVICE
    assert got == want


def test_a_step_copies_once_to_the_host_and_launches_few_kernels(labs):
    lab = labs("qwen3")
    with stand_in() as device, torch.no_grad():
        resident = ResidentPair.load(lab.pair, device=device, dtype=torch.float32)
        for only, name in (("rowwise", "rowwise"), ("fold", "folded")):
            resident.model = None
            with Engine(resident, max_rows=12, max_context=64, only=only, costs=CHEAP_ROWS) as engine:
                engine.wait()
                for decoding in DECODINGS.values():
                    asked = [Request("a", prompt(7), lab.recipe(0.5), decoding)]
                    run(engine, asked)
                    before = engine.status().steps
                    counts.clear()
                    run(engine, asked)
                    steps = engine.status().steps - before
                    assert steps == decoding.cap and counts["to host"] <= steps, (name, decoding, counts["to host"])
                layers = len(resident.layout.layers)
                assert counts["kernel attention"] == layers * steps
                written = counts["kernel index_put_"] + counts["kernel _index_put_impl_"]
                assert written >= layers * steps
                bound = engine.backend.bind("x", resident.blend(lab.recipe(0.5)))
                engine.backend.assign(0, bound)
                ids, where = torch.zeros(1, 1, dtype=torch.long).to(device), torch.full((1, 1), 9).to(device)
                for _ in range(2):
                    counts.clear()
                    engine.backend.run(bound, name, 0, ids, where, 10)
                inside = counts["kernel"] - KERNELS_AROUND
                assert inside <= layers * KERNELS_A_LAYER[name] and not counts["to host"]


@pytest.mark.parametrize("decoding", [*DECODINGS.values(), Decoding(temperature=5.0, top_p=0.999, top_k=0, seed=4)])
def test_a_draw_of_a_large_vocabulary_copies_once_or_where_few_candidates_do_not_do_twice(decoding):
    logits = torch.randn(3, 900, generator=torch.Generator().manual_seed(5)) * 2
    flat = decoding.temperature > 1 or decoding.top_p == 1
    plain = Sampler([decoding] * 3, range(3), [(5,)] * 3, 900, torch.device("cpu"))
    want = plain.read(logits)
    with stand_in() as device, torch.no_grad():
        sampler, there = Sampler([decoding] * 3, range(3), [(5,)] * 3, 900, device), logits.to(device)
        counts.clear()
        ids, tokens, logprobs = sampler.read(there)
        assert counts["to host"] == (2 if flat and decoding.top_p < 1 else 1)
        assert (tokens, logprobs) == want[1:] and ids[:, 0].tolist() == tokens


def test_noise_on_the_device_is_the_processors_bit_for_bit():
    steps = np.arange(5)
    decodings = [Decoding(seed=seed) for seed in (0, 1, 7, 2**40, 3)]
    with stand_in() as device:
        here = Sampler(decodings, steps.tolist(), (), 50, device).uniform()
        assert torch.equal(
            here.cpu()[:, 0], torch.from_numpy(noise(np.array([d.seed for d in decodings], dtype=np.uint64), steps))
        )


def test_the_device_refuses_to_meet_the_processor():
    with stand_in() as device:
        with pytest.raises(MixedDevices):
            torch.ones(3).to(device) + torch.ones(3)
        counts.clear()
        assert (torch.ones(3).to(device) * 2).tolist() == [2.0, 2.0, 2.0]
        assert (counts["to device"], counts["kernel"], counts["to host"]) == (1, 1, 1)
