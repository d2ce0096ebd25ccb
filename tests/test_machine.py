"""Free memory by the kernel's own files, faked: no limit, cgroup v2, cgroup v1, groups within groups."""

import os
import subprocess
import sys

import pytest

from mi_explorer.machine import free_memory

GB = 1 << 30


@pytest.fixture
def machine(tmp_path):
    def make(available=8 * GB, **files):
        files = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {available // 1024} kB\n", **files}
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(text))
        return tmp_path

    return make


def test_without_a_limit_it_is_what_the_kernel_calls_available(machine):
    assert free_memory(machine()) == 8 * GB
    assert free_memory(machine(**{"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": GB})) == 8 * GB


def test_the_limit_of_a_container_counts_in_both_versions(machine, tmp_path):
    two = {"sys/fs/cgroup/memory.max": 4 * GB, "sys/fs/cgroup/memory.current": GB}
    assert free_memory(machine(**two)) == 3 * GB
    assert free_memory(machine(available=2 * GB, **two)) == 2 * GB
    for path in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.current"):
        (tmp_path / path).unlink()
    v1 = "sys/fs/cgroup/memory/memory."
    one = {"proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/docker/on-the-host\n0::/\n"}
    one |= {f"{v1}limit_in_bytes": 2 * GB, f"{v1}usage_in_bytes": GB // 2}
    assert free_memory(machine(**one)) == 3 * GB // 2
    assert free_memory(machine(**{**one, f"{v1}limit_in_bytes": 9223372036854771712})) == 8 * GB


def test_the_tightest_group_around_the_process_decides(machine):
    at = "sys/fs/cgroup/user.slice"
    files = {"proc/self/cgroup": "0::/user.slice/job\n", f"{at}/memory.max": 2 * GB, f"{at}/memory.current": GB}
    files |= {f"{at}/job/memory.max": 3 * GB, f"{at}/job/memory.current": GB}
    assert free_memory(machine(**files)) == GB


def test_file_pages_that_can_be_dropped_are_free(machine):
    group = {"sys/fs/cgroup/memory.max": 4 * GB, "sys/fs/cgroup/memory.current": 3 * GB}
    assert (
        free_memory(machine(**group, **{"sys/fs/cgroup/memory.stat": f"anon {GB}\ninactive_file {2 * GB}\n"})) == 3 * GB
    )


def test_a_full_container_has_nothing_left(machine):
    assert free_memory(machine(**{"sys/fs/cgroup/memory.max": GB, "sys/fs/cgroup/memory.current": 2 * GB})) == 0


def test_preflight_and_the_engine_ask_the_same_probe(machine, monkeypatch, tmp_path):
    import torch

    from mi_explorer import machine as probe
    from mi_explorer.engine.memory import available

    root = machine(**{"sys/fs/cgroup/memory.max": GB, "sys/fs/cgroup/memory.current": 0})
    monkeypatch.setattr(probe.free_memory, "__defaults__", (root,))
    from mi_explorer.checkpoints.preflight import preflight

    assert available(torch.device("cpu")) == GB
    assert preflight("mini").facts["memory"]["free"] == GB


def test_the_probe_needs_no_torch():
    code = "import sys, mi_explorer.machine as m; assert m.free_memory(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_only_the_application_sets_up_the_process():
    """Opening and running a pair by the library leaves switch interval and threads; `own_process` sets the interval."""
    code = """
import sys, torch
torch.set_num_threads(2)
before = sys.getswitchinterval(), torch.get_num_threads()
from mi_explorer.workbench import Workbench
with Workbench.open("mini", max_rows=2, max_context=64) as bench:
    bench.engine.wait()
assert (sys.getswitchinterval(), torch.get_num_threads()) == before
from mi_explorer import machine
assert not machine.owns_process()
machine.own_process()
assert machine.owns_process() and sys.getswitchinterval() < before[0]
"""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
