"""What the weight half costs: fold against memcpy, partial folds, export against a copy and against mergekit, λ lost to bf16.

    python -m tests.bench.bench_weights            # all, on a 1 GB pair (needs 6 GB of disk)
    python -m tests.bench.bench_weights --quick    # small sizes, to see that it works; its figures mean nothing
    python -m tests.bench.bench_weights --json

Every figure is a ratio taken within one run, the median of interleaved repetitions, one thread. Goals stand beside them.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import yaml
from safetensors.torch import save_file

from mi_explorer.checkpoints.parents import Parents
from mi_explorer.mergekit_yaml import to_mergekit
from mi_explorer.merging.blend import bind
from mi_explorer.merging.export import export_checkpoint
from mi_explorer.merging.merged_weights import MergedWeights
from mi_explorer.pairs import Pair, get_pair
from mi_explorer.recipe import Recipe, Scope
from tests.fixtures import config

ROOT = Path(__file__).resolve().parents[2]


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratio(work, reference, repeats: int) -> float:
    """Median of work ÷ reference over interleaved repetitions (after one warm-up of each)."""
    work(), reference()
    return statistics.median(timed(work) / timed(reference) for _ in range(repeats))


def write_parent(folder: Path, seed: int, layers: int, hidden: int, dtype: torch.dtype) -> None:
    """A Llama-shaped checkpoint of random weights, written tensor by tensor from a small pool of noise (fast)."""
    folder.mkdir(parents=True)
    pool = torch.randn(1 << 20, generator=torch.Generator().manual_seed(7)).mul_(0.02)
    pool = (pool + 0.001 * torch.randn(1 << 20, generator=torch.Generator().manual_seed(seed))).to(dtype)
    settings = config(
        "llama",
        vocab_size=4096,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=hidden // 64,
    )
    settings.architectures = ["LlamaForCausalLM"]
    settings.save_pretrained(folder)
    shapes = {
        "model.embed_tokens.weight": (4096, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (4096, hidden),
    }
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {f"{at}self_attn.{p}_proj.weight": (hidden, hidden) for p in "qkvo"}
        shapes |= {f"{at}mlp.{p}_proj.weight": (4 * hidden, hidden) for p in ("gate", "up")} | {
            f"{at}mlp.down_proj.weight": (hidden, 4 * hidden)
        }
        shapes |= {f"{at}{n}_layernorm.weight": (hidden,) for n in ("input", "post_attention")}
    tensors = {}
    for name, shape in shapes.items():
        n = torch.Size(shape).numel()
        tensors[name] = pool.repeat(-(-n // pool.numel()))[:n].view(shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def fold(folder: Path, dtype: torch.dtype, layers: int, hidden: int, repeats: int) -> dict[str, Any]:
    """A resident model folded from endpoints in memory, against memcpy of the same bytes; one layer of N against its share."""
    for seed, role in enumerate(("instruct", "thinking")):
        write_parent(folder / role, seed, layers, hidden, dtype)
    parents = Parents.open(Pair("bench", str(folder / "instruct"), str(folder / "thinking")))
    names = parents.names()
    ends = {n: (parents.tensor("instruct", n).clone(), parents.tensor("thinking", n).clone()) for n in names}
    model = torch.nn.Module()  # a bare module whose state has the checkpoint's names
    for name in names:
        *path, leaf = name.split(".")
        here = model
        for part in path:
            if part not in dict(here.named_children()):
                here.add_module(part, torch.nn.Module())
            here = getattr(here, part)
        here.register_parameter(leaf, torch.nn.Parameter(torch.empty_like(ends[name][0]), requires_grad=False))
    resident = MergedWeights(model, names, ends=lambda blend, name: ends[name])
    blends = [bind(Recipe(lam=lam), parents) for lam in (0.3, 0.6)]
    turn = [0]

    def whole() -> None:
        turn[0] ^= 1
        resident.to(blends[turn[0]])

    copies = [torch.empty_like(p) for p, _ in ends.values()]

    def memcpy() -> None:
        for copy, (p, _) in zip(copies, ends.values()):
            copy.copy_(p)

    share = ratio(whole, memcpy, repeats)
    layer = str(layers // 2)
    scopes = [bind(Recipe(lam=lam, scope=Scope(layer, ("attention", "mlp"))), parents) for lam in (0.3, 0.6)]
    size = {n: p.nbytes for n, (p, _) in ends.items()}
    mine = sum(v for n, v in size.items() if f"layers.{layer}." in n and "norm" not in n)
    costs = []
    for _ in range(repeats):
        resident.to(scopes[0])  # only this layer's coefficients differ between the two recipes
        costs.append(timed(lambda: resident.to(scopes[1])) / timed(whole))
    partial = statistics.median(costs) * sum(size.values()) / mine
    parents.close()
    # memcpy moves two bytes per byte (read, write), a fold three (two reads, one write)
    return {
        "MB": sum(size.values()) / 1e6,
        "share of memcpy bandwidth": 1.5 / share,
        "partial fold ÷ its share": partial,
    }


def copy_bytes(sources: list[Path], target: Path) -> None:
    """Read every source, write the last one's bytes: the traffic of an export without its arithmetic."""
    with open(target, "wb", buffering=0) as out:
        handles = [os.open(s, os.O_RDONLY) for s in sources]
        buffers = [bytearray(8 << 20) for _ in handles]
        while True:
            sizes = [os.readv(h, [b]) for h, b in zip(handles, buffers)]
            if not sizes[-1]:
                break
            out.write(memoryview(buffers[-1])[: sizes[-1]])
        for handle in handles:
            os.close(handle)


def process(words: list[str]) -> tuple[float, float]:
    """(seconds, peak MB) of a whole process."""
    start = time.perf_counter()
    child = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    peak = 0.0  # not ru_maxrss: that of a child begins with its parent's
    while child.poll() is None:
        try:
            status = Path(f"/proc/{child.pid}/status").read_text(encoding="ascii")
            peak = max(
                peak, *(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0.0
            )
        except OSError:
            pass
        time.sleep(0.02)
    seconds = time.perf_counter() - start
    if child.returncode:
        raise SystemExit(f"{' '.join(words)} failed: {child.stderr.read().decode()[-2000:]}")
    return seconds, peak


def exports(folder: Path, layers: int, hidden: int, repeats: int) -> dict[str, Any]:
    """Export against a copy of the same bytes in this process, and as a command against mergekit on the same linear merge."""
    dtype = torch.bfloat16
    for seed, role in enumerate(("instruct", "thinking")):
        write_parent(folder / role, seed, layers, hidden, dtype)
    pair = get_pair(f"{folder / 'instruct'}|{folder / 'thinking'}")
    blend = bind(Recipe(pair.spec, lam=0.4), Parents.open(pair))
    files = [folder / role / "model.safetensors" for role in ("instruct", "thinking")]
    count = [0]

    def ours() -> None:
        count[0] += 1
        export_checkpoint(blend, folder / f"out{count[0]}")
        for file in (folder / f"out{count[0]}").iterdir():
            file.unlink()

    def plain_copy() -> None:
        copy_bytes(files, folder / "copy")
        (folder / "copy").unlink()

    def one_copy() -> None:
        copy_bytes(files[:1], folder / "copy")
        (folder / "copy").unlink()

    against_copy, against_one = ratio(ours, plain_copy, repeats), ratio(ours, one_copy, repeats)
    (folder / "merge.yaml").write_text(
        to_mergekit(blend.recipe, pair, dtype="bfloat16").replace("dtype: float32", "dtype: bfloat16", 1)
    )
    configuration = yaml.safe_load((folder / "merge.yaml").read_text())
    configuration.pop("tokenizer_source")  # these parents have none
    (folder / "merge.yaml").write_text(yaml.safe_dump(configuration))
    python, times = sys.executable, []
    for k in range(max(1, repeats // 2)):
        mine = process(
            [
                python,
                "-m",
                "mi_explorer",
                "export",
                "--pair",
                pair.spec,
                "--lambda",
                "0.4",
                "--out",
                str(folder / f"cli{k}"),
            ]
        )
        theirs = process(
            [python, "-m", "mergekit.scripts.run_yaml", str(folder / "merge.yaml"), str(folder / f"mk{k}")]
        )
        times.append((theirs[0] / mine[0], mine[1] / theirs[1], mine, theirs))
        for made in (folder / f"cli{k}", folder / f"mk{k}"):
            for file in made.iterdir():
                file.unlink()
    speed, memory, mine, theirs = sorted(times)[len(times) // 2]
    return {
        "GB": files[0].stat().st_size / 1e9,
        "export ÷ copy (read both, write one)": against_copy,
        "export ÷ copy of one parent": against_one,
        "mergekit time ÷ ours (whole process)": speed,
        "our peak memory ÷ mergekit's": memory,
        "ours (s, MB)": mine,
        "mergekit (s, MB)": theirs,
    }


def resolution() -> dict[str, Any]:
    """What bf16 loses on the embedded pair: rounding noise as a step of λ, and the elements that a step of 0.01 moves at all."""
    parents = Parents.open("mini")
    names = [n for n in parents.names() if parents.tensor("instruct", n).ne(parents.tensor("thinking", n)).any()]
    noise = move = changed = total = 0.0
    for name in names:
        p, q = (parents.tensor(r, name).double() for r in ("instruct", "thinking"))
        at = [bind(Recipe(lam=lam), parents).tensor(name).double() for lam in (0.40, 0.41)]
        noise += float(((at[0] - (0.6 * p + 0.4 * q)) ** 2).sum())
        move += float(((q - p) ** 2).sum())
        changed += float((at[0] != at[1]).sum())
        total += p.numel()
    return {
        "rounding noise as a step of λ": (noise / move) ** 0.5,
        "elements moved by λ 0.40 → 0.41": changed / total if total else 0.0,
    }


GOALS = {
    "share of memcpy bandwidth": {"fp32": "≥ 0.9", "bf16": "≥ 0.6"},
    "partial fold ÷ its share": "≤ 1.3",
    "export ÷ copy (read both, write one)": "≤ 1.6",
    "mergekit time ÷ ours (whole process)": "≥ 3",
    "our peak memory ÷ mergekit's": "≤ 0.33",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dir", help="where the 6 GB go (default: the system's temporary folder)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    layers, hidden, repeats = (4, 256, 3) if args.quick else (12, 1024, 9)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}"
    )
    results: dict[str, Any] = {"machine": machine}
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            results[f"fold {name}"] = fold(Path(folder) / name, dtype, layers, hidden, repeats)
        results["export"] = exports(
            Path(folder) / "export", *((4, 256) if args.quick else (31, 1024)), 3 if args.quick else 5
        )
    results["bf16"] = resolution()
    if args.json:
        print(json.dumps(results))
        return
    print(results.pop("machine"))
    for part, values in results.items():
        for what, value in values.items():
            goal = GOALS.get(what, "")
            goal = goal.get(part.split()[-1], "") if isinstance(goal, dict) else goal
            shown = f"{value:.3g}" if isinstance(value, float) else ", ".join(f"{v:.3g}" for v in value)
            print(f"{part:10}  {what:38} {shown:>12}  {'goal ' + goal if goal else ''}")


if __name__ == "__main__":
    main()
