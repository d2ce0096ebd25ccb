"""`study precompute`: the studies that come with the checkout, made again by one command.

Every study is a plain `sweep` or `ablate` command that anyone may type, some with a `study probe` after it; several run side by
side in processes of their own, the largest in shards. All of them save into one store of their own, named by weights and
questions: the same command goes on where it was stopped, and retrained weights begin anew. At the end each study is written to a
small file, its summary beside it.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from mi_explorer.checkpoints import fingerprint
from mi_explorer.cli.arguments import whole_number, word_list
from mi_explorer.cli.options import add_home, add_pair, named_pair
from mi_explorer.cli.terminal import duration
from mi_explorer.errors import UserError, unknown
from mi_explorer.pairs import get_pair
from mi_explorer.paths import ASSETS
from mi_explorer.studies.plan import digest
from mi_explorer.studies.report.table import Table
from mi_explorer.studies.runner import items_of
from mi_explorer.studies.stats.kept_summary import keep_summary
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.store import Store, StudyInfo
from mi_explorer.studies.store.study_file import SUFFIX
from mi_explorer.tasks.registry import load_task

MACHINE = {"pair": "mini", "device": "cpu", "dtype": None, "rows": None, "context": None}  # options of every child
LOOK_EVERY_S = 2.0  # seconds between two looks at the store
EXAMPLE = """
  python -m mi_explorer study precompute
  python -m mi_explorer study precompute --only sweep,layers --questions 20 --samples 2 --out try
"""


@dataclass(frozen=True)
class Wanted:
    """A study to make: its command and its size. In the file `texts` samples of a question and cell keep their text, of all questions
    or of `text_questions`. `before`: commands that add cells to the study first; `probe`: options of the `study probe` that follows."""

    name: str
    command: str
    questions: int
    samples: int
    texts: int = 1
    sharded: bool = False
    text_questions: int | None = None
    before: tuple[str, ...] = ()
    probe: str = ""


STUDIES = (
    Wanted("sweep", "sweep --lambda 0:1:0.1 --refine 1", 400, 8, 2, sharded=True),
    Wanted("layers", "ablate layers", 100, 4),
    Wanted("modules", "ablate modules", 100, 4),
    Wanted("decoding", "ablate decoding", 100, 4),
    Wanted("backbone", "ablate backbone", 100, 4),
    Wanted("methods", "ablate methods", 100, 4),
    Wanted("methods-grid", "ablate methods --methods linear,slerp,task_arithmetic,ties --lambda 0.2:1:0.2", 100, 4),
    Wanted("probes", "sweep --lambda 0.4:0.8:0.1,1", 200, 4, text_questions=20, probe="--points 12 --free 1"),
    Wanted(
        "budgets",
        "sweep --lambda 0.4:0.8:0.1,1",
        200,
        4,
        text_questions=8,
        before=(
            "sweep --lambda 1 --think-budget 10,20,40,60,80,100,120,160,200",
            "sweep --lambda 0.4,0.6,0.8 --think-budget 20,40,80",
        ),
    ),
    Wanted("answer-lambda", "sweep --lambda 0.6,1 --answer-lambda 0,1,none", 200, 4, text_questions=20),
    Wanted(
        "answer-budget",
        "sweep --lambda 0.6,1 --answer-lambda 0,1,none --think-budget 40",
        200,
        4,
        text_questions=20,
    ),
)


def add_precompute_options(parser: argparse.ArgumentParser) -> None:
    """The options of `study precompute`."""
    parser.epilog = "examples:\n" + EXAMPLE.strip("\n")
    parser.add_argument(
        "--out", default=str(ASSETS / "studies"), metavar="DIR", help="where the files go (default: assets/studies)"
    )
    parser.add_argument(
        "--only", type=word_list, metavar="LIST", help=f"only these: {', '.join(w.name for w in STUDIES)}"
    )
    parser.add_argument("--task", default="mini", metavar="NAME", help="a task by name or file (default: mini)")
    parser.add_argument(
        "--questions", type=whole_number(), metavar="N", help="at most N questions each (default: as planned)"
    )
    parser.add_argument(
        "--samples", type=whole_number(), metavar="K", help="at most K samples of a question (default: as planned)"
    )
    parser.add_argument("--cap", metavar="X", help="most tokens of a response")
    parser.add_argument(
        "--jobs",
        type=whole_number(1, 64),
        metavar="N",
        help="processes side by side (default: 2, or 1 where there is one core)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    add_pair(parser)
    add_home(parser)
    parser.set_defaults(handler=precompute)


def precompute(args: argparse.Namespace) -> int:
    """`study precompute`."""
    wanted = _wanted(args)
    pair = get_pair(named_pair(args))
    if not pair.local and args.device == "cpu":
        raise UserError(
            f"The pair {args.pair!r} is not on this machine. Name a device that can run it, such as --device cuda."
        )
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    items = items_of(load_task(args.task, max(w.questions for w in wanted)))
    made_of = digest(fingerprint.pair_fingerprint(pair) or pair.spec, [item.key for item in items])[:12]
    home = Path(args.home or "build/studies") / f"{_stem(args.pair)}-{made_of}"
    jobs = args.jobs or min(2, os.cpu_count() or 1)
    names = {w: f"{_stem(args.pair)}-{w.name}" for w in wanted}
    words = partial(study_words, args)
    first = [words(w, names[w], f"{i}/{jobs}") for w in wanted if w.sharded and jobs > 1 for i in range(1, jobs + 1)]
    stages = [first]  # one study's commands run one after the other: each adds to what the one before has planned
    for k in range(max(len(w.before) for w in wanted)):
        stages.append([words(replace(w, command=w.before[k]), names[w]) for w in wanted if k < len(w.before)])
    stages.append([words(w, names[w]) for w in wanted])
    stages.append([probe_words(args, w, names[w]) for w in wanted if w.probe])
    for commands in stages:
        if code := _run(commands, home, jobs, list(names.values()), args.quiet):
            print(
                "Not made: what stopped it is said above. What is finished is saved; the same command goes on.",
                file=sys.stderr,
            )
            return code
    rows, total = [], 0
    with Store.open(home) as store:
        for w in wanted:
            info = store.study(names[w])
            path = out / f"{names[w]}{SUFFIX}"
            export_study(
                store,
                names[w],
                path,
                texts=w.texts,
                text_questions=w.text_questions,
                overwrite=True,
                host=False,
                probes=bool(w.probe),
            )
            keep_summary(path)
            total += path.stat().st_size
            missing = info.units - info.samples
            size = f"{path.stat().st_size / 1e3:,.0f} kB"
            rows.append([names[w], f"{len(info.plan.cells)}", f"{info.samples:,}", f"{missing:,}", size])
    print(Table.of(["study", "cells", "samples", "missing", "file"], rows).text())
    print(f"{total / 1e6:.2f} MB in {out}")
    return 0


def _wanted(args: argparse.Namespace) -> list[Wanted]:
    """The studies that were asked for, at most as large as asked for."""
    names = [w.name for w in STUDIES]
    only = args.only or names
    for name in only:
        if name not in names:
            raise unknown("precomputed study", name, names)
    questions, samples = args.questions or 1_000_000, args.samples or 1_000_000
    return [
        replace(w, questions=min(w.questions, questions), samples=min(w.samples, samples))
        for w in STUDIES
        if w.name in only
    ]


def _stem(pair: str) -> str:
    """A pair's name as part of a file's."""
    parts = [part.rstrip("/").rsplit("/", 1)[-1] for part in pair.split("|")[:2]]
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in "-".join(parts))


def study_words(args: argparse.Namespace, w: Wanted, name: str, shard: str = "") -> list[str]:
    """The command of a study, or of a shard of it without what a shard cannot do."""
    words = shlex.split(w.command)
    if shard and "--refine" in words:
        del words[words.index("--refine") : words.index("--refine") + 2]
    words += ["--questions", str(w.questions), "--samples", str(w.samples), "--name", name]
    words += _given(args, {**MACHINE, "task": "mini", "cap": None})
    return [*words, "--shard", shard] if shard else words


def probe_words(args: argparse.Namespace, w: Wanted, name: str) -> list[str]:
    """The command that probes a study."""
    return ["study", "probe", name, *shlex.split(w.probe), *_given(args, MACHINE)]


def _given(args: argparse.Namespace, defaults: Mapping[str, str | None]) -> list[str]:
    """Options that are not at their defaults, as words."""
    found = ((option, getattr(args, option)) for option in defaults)
    return [word for option, value in found if value != defaults[option] for word in (f"--{option}", str(value))]


def _run(commands: Sequence[list[str]], home: Path, jobs: int, names: Sequence[str], quiet: bool) -> int:
    """Run commands, at most `jobs` at a time; 0, or the code of the first that failed. Ctrl+C stops all, nothing is lost."""
    waiting, running = list(commands), list[tuple[list[str], subprocess.Popen[bytes], IO[bytes]]]()
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    env = {
        **os.environ,
        "MI_EXPLORER_HOME": str(home.resolve()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads),
    }
    failed = 0
    with _watched(home, names, quiet) as look:
        try:
            while (waiting and not failed) or running:
                while waiting and len(running) < jobs and not failed:
                    command = waiting.pop(0)
                    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the command has ended
                    words = [sys.executable, "-m", "mi_explorer", *command, "--quiet"]
                    running.append(
                        (command, subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=log), log)
                    )
                time.sleep(0.2)
                look()
                for entry in [e for e in running if e[1].poll() is not None]:
                    running.remove(entry)
                    failed = failed or _told(*entry)
        except KeyboardInterrupt:  # the terminal has told the children as well; they save what is finished
            for _, process, _ in running:
                process.wait()
            print("Stopped.", file=sys.stderr)
            return 130
    return failed


def _told(command: Sequence[str], process: "subprocess.Popen[bytes]", log: IO[bytes]) -> int:
    """The exit code of a command that has ended; of one that failed, also what it said."""
    log.seek(0)
    said = log.read().decode(errors="replace").strip()
    log.close()
    if process.returncode:
        print(f"\n{shlex.join(['python', '-m', 'mi_explorer', *command])}\n{said[-2000:]}", file=sys.stderr)
    return 1 if process.returncode < 0 else process.returncode


def _how_far(info: StudyInfo, probed: int) -> str:
    done = f"{info.name} {100 * info.samples // max(info.units, 1)} %"
    return f"{done}, {probed:,} probed" if probed else done


@contextmanager
def _watched(home: Path, names: Sequence[str], quiet: bool) -> Iterator[Callable[[], None]]:
    """A function that draws how far the studies are, from the store, every now and then."""
    began = last = time.monotonic()
    before: dict[str, int] = {}

    def look() -> None:
        nonlocal last
        if quiet or time.monotonic() < last + (LOOK_EVERY_S if sys.stderr.isatty() else 10 * LOOK_EVERY_S):
            return
        last = time.monotonic()
        with Store.open(home) as store:
            found = [info for name in names if (info := store.find(name)) is not None]
            probed = {info.name: store.probe_count(info.id) for info in found}
        have = {info.name: info.samples + probed[info.name] for info in found}
        before.update({name: n for name, n in have.items() if name not in before})
        made = sum(have.values()) - sum(before.values())
        words = "  ".join(_how_far(info, probed[info.name]) for info in found)
        end, start = ("", "\r") if sys.stderr.isatty() else ("\n", "")
        print(
            f"{start}{duration(last - began)}  {made / (last - began):,.0f} a second  {words}",
            end=end,
            file=sys.stderr,
            flush=True,
        )

    yield look
    if last > began and sys.stderr.isatty():
        print(file=sys.stderr)
