"""What this machine has (free memory, within the container's limit), and whether this process is ours to set up.

Imports nothing heavy, and changes nothing unless `own_process` is called.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

SWITCH_INTERVAL_S = 0.0005
_owned = False


def own_process() -> None:
    """For an application's `main`: set up the whole process for the engine. A library call never does that.

    The engine's thread gives up the interpreter at every tensor operation and has to win it back. At Python's 5 ms a turn, a
    reader that decodes text makes each of them wait: a sweep of the embedded pair ran at a fifth of its speed. And an engine that
    measures its steps may choose how many threads torch takes (`engine.step_times`).
    """
    global _owned
    _owned = True
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL_S))


def owns_process() -> bool:
    """Whether `own_process` was called."""
    return _owned


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes that a process can still use; None where it cannot be told. `root` stands for "/" (tests give a fake one).

    That is what the kernel calls available, and no more than what is left of the limit of every control group around this
    process (v1 or v2: containers, systemd slices).
    """
    free = [_system(root), *_left_in_groups(root)]
    known = [max(0, n) for n in free if n is not None]
    return min(known, default=None)


def gigabytes(size: float) -> str:
    """Bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


def _system(root: Path) -> int | None:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # no Linux: half of what is built in
    except (ValueError, OSError, AttributeError):
        return None


def _left_in_groups(root: Path) -> Iterator[int]:
    """What each control group has left: its limit less what it uses. File pages that can be dropped do not count as used."""
    for line in _read(root / "proc/self/cgroup").splitlines() or ["0::/"]:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mount, limit, usage, pages = "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            mount, limit, usage = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
            pages = "total_inactive_file"
        else:
            continue
        for group in _around(root / mount, path):
            most, used = _read(group / limit).strip(), _read(group / usage).strip()
            if most.isdigit() and used.isdigit():  # "max": no limit
                stat = dict(entry.split(" ", 1) for entry in _read(group / "memory.stat").splitlines() if " " in entry)
                yield int(most) - int(used) + min(int(used), int(stat.get(pages, 0)))


def _around(mount: Path, path: str) -> Iterator[Path]:
    """A group's folder and those above it. In a container the path may be the host's and not exist here: then the mount is its own."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for depth in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:depth])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
