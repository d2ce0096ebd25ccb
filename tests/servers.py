"""What tests of servers share: a port to listen on, a server that is started and stopped, and a loop of their own."""

import asyncio
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]  # of the repository


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it in a loop of its own thread: other tests may have left a running one in this."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def listen_to_interrupts() -> None:
    """A shell lets its background jobs ignore SIGINT, and so would a server that is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(command: list[str], port: int, folder: Path, wait: float = 180) -> subprocess.Popen:
    """Start a server and wait until its page answers."""
    env = {
        **os.environ,
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "OMP_NUM_THREADS": "1",
    }
    log = (folder / f"server-{port}.log").open("w")
    process = subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, preexec_fn=listen_to_interrupts
    )
    end = time.monotonic() + wait
    while time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=2).read()
            return process
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"The server did not come up:\n{(folder / f'server-{port}.log').read_text()[-3000:]}")


def stop(process: subprocess.Popen) -> int:
    """Ask a server to end, as a container or a service manager does; its exit status (-9: it had to be killed)."""
    process.terminate()
    try:
        return process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait(5)
