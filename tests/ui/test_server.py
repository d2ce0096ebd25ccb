"""A real server in a process of its own: asked to end while it streams, it ends in order."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.servers import free_port, start
from tests.visitors import QueuedRun, Run, Site

VIEW = {"q": "words: 4000", "lam": 1}  # minutes


def read(run, name, ends):
    """Read a run to its end; notes its last state."""
    with contextlib.suppress(OSError, RuntimeError):
        for state in run.states():
            ends[name] = state["state"]


def generate(site, session, ends):
    """The last frame of the endpoint `/generate`."""
    index = next(d["id"] for d in site.config["dependencies"] if d["api_name"] == "generate")
    data = ["words: 4000", 1, "", "linear", "all", "all", None, "own", 0.6, 0.95, 20, 5000, 0, "", ""]
    body = {"data": data, "fn_index": index, "session_hash": session}
    assert site.ask("POST", "/gradio_api/queue/join", body)[0] == 200
    ends[session] = "running"
    _, events, _ = site.ask("GET", f"/gradio_api/queue/data?session_hash={session}")
    ends[session] = "stopped" if b'"cancelled"' in events else events[-300:]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_told_to_end_while_it_streams_says_so_to_everybody(tmp_path, how):
    port, ends = free_port(), {}
    process = start([sys.executable, "tests/ui/serve.py", str(port), "40", "0", "5"], port, tmp_path)
    site = Site(f"http://127.0.0.1:{port}")
    threads = []
    for i, name in enumerate("abcdefg"):  # two of the live ones wait for their turn
        ask = {"token": name * 16, "kind": "strip", "view": VIEW}
        run = (Run if i < 6 else QueuedRun)(site, name, ask)
        threads.append(threading.Thread(target=read, args=(run, name, ends), daemon=True))
    threads += [threading.Thread(target=generate, args=(site, name, ends), daemon=True) for name in ("api1", "api2")]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    while len(ends) < 9 or set(ends.values()) != {"running", "waiting"}:
        assert time.monotonic() < end, ends
        time.sleep(0.1)
    os.kill(process.pid, how)
    try:
        assert process.wait(20) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    for thread in threads:
        thread.join(20)
    log = (tmp_path / f"server-{port}.log").read_text()
    assert set(ends.values()) == {"stopped"} and len(ends) == 9, (ends, log)
    assert "Traceback" not in log and "Error" not in log, log
