"""Many visitors at once on the page of the embedded pair, and whether each of them got their own answer.

    python tests/bench/bench_load.py [--visitors 50] [--minutes 5] [--json [FILE]]

Every visitor has a λ of their own and asks again and again: half over plain HTTP as the page does, half with `gradio_client`.
Some hang up in the middle, some cancel, some ask for a whole strip. Afterwards each finished trace is made anew, alone, in
another process's engine (fp32, same seed) and compared; what was broken off must be the beginning of its own trace. The
server's threads, files, engine slots and memory are watched, from the moment on when it keeps as many sessions as it ever will.
Ends with exit code 1 where something is not as it must be.
"""

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from load_visitors import CAP, WAIT, Asked, Book, ClientVisitor, PageVisitor, Visitor  # noqa: E402

from mi_explorer.ui.server import MAX_SESSIONS  # noqa: E402
from tests.servers import free_port  # noqa: E402
from tests.visitors import Site  # noqa: E402

SETTLE = 8.0


# -- the server -----------------------------------------------------------------------------------------------------------


def serve(port: int, home: str, status: str) -> None:
    """The product's own `serve`, with the engine's status written to a file twice a second."""
    from mi_explorer.ui import server
    from mi_explorer.ui.access.settings import Settings
    from mi_explorer.workbench import Workbench

    opened = Workbench.open

    def watched(*args: Any, **more: Any) -> Any:
        bench = opened(*args, **more)

        def watch() -> None:
            while True:
                now = asdict(bench.engine.status())
                Path(status + ".new").write_text(
                    json.dumps({"slots": now["slots"], "rows": now["rows"], "waiting": now["waiting"]})
                )
                os.replace(status + ".new", status)
                time.sleep(0.5)

        threading.Thread(target=watch, daemon=True).start()
        return bench

    Workbench.open = watched  # type: ignore[method-assign]
    server.serve_page(Settings(port=port, home=home, dtype="float32", runs=4))


class Server:
    """The server as a process of its own, and what the system says of it."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url, self.status, self.log = f"http://127.0.0.1:{self.port}", folder / "status.json", folder / "server.log"
        env = {
            **os.environ,
            "GRADIO_TEMP_DIR": str(folder / "gradio"),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        command = [sys.executable, __file__, "--serve", str(self.port), str(folder / "home"), str(self.status)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=self.log.open("w"), stderr=subprocess.STDOUT)
        end = time.monotonic() + 240
        while True:
            try:
                urllib.request.urlopen(self.url + "/config", timeout=2).read()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    self.close()
                    raise RuntimeError(f"the server did not come up:\n{self.log.read_text()[-2000:]}") from None
                time.sleep(0.3)

    def figures(self) -> dict[str, float]:
        """Threads, open files, slots and waiting rows of the engine, resident memory in MB."""
        proc = Path(f"/proc/{self.process.pid}")
        fields = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines() if ":" in line)
        engine = json.loads(self.status.read_text())
        return {
            "threads": int(fields["Threads"]),
            "files": len(list((proc / "fd").iterdir())),
            "rss_mb": round(int(fields["VmRSS"].split()[0]) / 1024, 1),
            "slots": engine["slots"],
            "waiting": engine["waiting"],
        }

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


# -- visitors -------------------------------------------------------------------------------------------------------------


# -- judging --------------------------------------------------------------------------------------------------------------


def alone(wanted: set[tuple[str, float, int]], home: Path) -> Iterator[tuple[tuple[str, float, int], tuple[str, str]]]:
    """Every (prompt, λ, seed) made anew, one at a time in an engine of its own."""
    from mi_explorer.generation.snapshots import GenerationRequest
    from mi_explorer.recipe import Decoding, Recipe
    from mi_explorer.workbench import Workbench

    with Workbench.open("mini", dtype="float32", home=home) as bench:
        for prompt, lam, seed in sorted(wanted):
            for changed in bench.stream(
                [GenerationRequest("a", prompt, Recipe(lam=lam), Decoding(cap=CAP, seed=seed))]
            ):
                last = changed[-1]
            yield (prompt, lam, seed), (last.trace.thought, last.trace.answer_text)


def compare(runs: list[Asked], home: Path) -> tuple[int, int, list[str]]:
    """(finished traces compared, beginnings compared, what differs)."""
    wanted = {(run.prompt, lam, run.seed) for run in runs for lam in run.frames}
    own = dict(alone(wanted, home))
    whole = begun = 0
    wrong = []
    for run in runs:
        for lam, (thought, answer, done) in run.frames.items():
            expected = own[run.prompt, lam, run.seed]
            # the answer's white space is trimmed at the end of a trace, and a think tag may be half written
            if done:
                whole += 1
                right = (thought.strip(), answer.strip()) == (expected[0].strip(), expected[1].strip())
            else:
                begun += 1
                said = (thought + answer).strip().rstrip("\ufffd")
                right = any(
                    text.startswith(said)
                    for text in (expected[0].strip(), (expected[0] + expected[1]).strip(), expected[1].strip())
                )
                right = right or (
                    expected[0].strip().startswith(thought.strip()) and expected[1].strip().startswith(answer.strip())
                )
            if not right:
                wrong.append(
                    f"{run.kind} λ {lam} seed {run.seed} {'whole' if done else 'begun'}: {(thought + '|' + answer)[-80:]!r}"
                )
    return whole, begun, wrong


def measure(visitors: int = 50, seconds: float = 300.0, clients: bool = True) -> dict[str, Any]:
    """Run it; what was found, with `"ok"` and the list `"failed"` of what is not as it must be."""
    questions = [
        json.loads(line)["question"]
        for line in (ROOT / "assets" / "tasks" / "mini.jsonl").read_text(encoding="utf-8").splitlines()[:200]
    ]
    dice = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="mi-load-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        server = Server(folder)
        try:
            site, book = Site(server.url), Book()
            site.url = server.url  # type: ignore[attr-defined]
            pool = dice.sample(questions, 6)

            def crowd(until: float, into: Book, many: int) -> list[Visitor]:
                kinds = [PageVisitor if not clients or i % 2 == 0 else ClientVisitor for i in range(many)]
                lams = [round(i / max(1, many - 1), 3) for i in range(many)]
                return [
                    kind(i, lams[i], [pool[(i + j) % 6] for j in range(2)], site, into, until)
                    for i, kind in enumerate(kinds)
                ]

            def run(crowd: list[Visitor], watch: list[dict[str, float]]) -> None:
                threads = [threading.Thread(target=v.live, daemon=True) for v in crowd]
                for t in threads:
                    t.start()
                while any(t.is_alive() for t in threads):
                    time.sleep(1)
                    watch.append(server.figures())
                    if time.monotonic() > crowd[0].until + 2 * WAIT:
                        book.fault("visitors were still waiting long after the end")
                        return

            warm: list[dict[str, float]] = []
            for i in range(
                MAX_SESSIONS
            ):  # what a tab leaves behind for the time when it comes back: kept of so many, the last ones
                site.server("alive", "nobody", f"tab-{i}")
            run(
                crowd(time.monotonic() + min(30.0, seconds / 3), Book(), visitors), warm
            )  # libraries, caches, pools of threads
            time.sleep(SETTLE)
            before = server.figures()
            seen: list[dict[str, float]] = []
            began = time.monotonic()
            run(crowd(began + seconds, book, visitors), seen)
            took = time.monotonic() - began
            end, after = time.monotonic() + 60, server.figures()
            while time.monotonic() < end:  # what was dropped is noticed with the next heartbeat
                time.sleep(2)
                after = server.figures()
                if (
                    after["slots"] == 0
                    and after["threads"] <= before["threads"] + 4
                    and after["files"] <= before["files"] + 8
                ):
                    break
            log = server.log.read_text(errors="replace")
        finally:
            server.close()
        whole, begun, wrong = compare(book.runs, folder / "home2")
    waits = sorted(r.waited for r in book.runs if r.waited is not None)
    half = [f["rss_mb"] for f in seen[len(seen) // 2 : len(seen) // 2 + 5]] or [before["rss_mb"]]
    found: dict[str, Any] = {
        "visitors": visitors, "seconds": round(took, 1), "runs": len(book.runs),
        "ended": dict(Counter(r.end for r in book.runs)), "kinds": dict(Counter(r.kind for r in book.runs)),
        "finished_traces": whole, "begun_traces": begun, "mismatches": len(wrong), "wrong": wrong[:10],
        "tokens_per_second": round(sum(r.tokens for r in book.runs) / took, 1),
        "wait_p50": round(statistics.median(waits), 3) if waits else None,
        "wait_p95": round(waits[int(0.95 * (len(waits) - 1))], 3) if waits else None,
        "wait_max": round(waits[-1], 3) if waits else None,
        "statuses": dict(book.statuses), "faults": len(book.faults), "some_faults": book.faults[:10],
        "server_errors": log.count("Traceback"),
        "before": before, "after": after, "peak": {k: max(f[k] for f in seen) for k in before} if seen else before,
        "rss_mb_at_half": round(statistics.median(half), 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }  # fmt: skip
    must = {
        "every finished trace is its own": not wrong and whole > 0,
        "no error": not book.faults and not any(s >= 500 for s in book.statuses) and log.count("Traceback") == 0,
        "waiting is bounded": bool(waits) and waits[-1] < WAIT,
        "no slot is left": after["slots"] == 0 and after["waiting"] == 0,
        "threads are flat": after["threads"] <= before["threads"] + 8,
        "files are flat": after["files"] <= before["files"] + 12,
        "memory is flat": after["rss_mb"] <= max(before["rss_mb"], found["rss_mb_at_half"]) * 1.1 + 60,
    }
    failed = [what for what, held in must.items() if not held]
    return {**found, "ok": not failed, "failed": failed, **({"log": log[-3000:]} if log.count("Traceback") else {})}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--visitors", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="all figures as JSON, to FILE or to the terminal"
    )
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.serve:
        serve(int(args.serve[0]), args.serve[1], args.serve[2])
        return 0
    found = measure(args.visitors, args.minutes * 60)
    if args.json == "-":
        print(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        if args.json:
            Path(args.json).write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
        for name, value in found.items():
            print(f"{name:18} {value}")
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
