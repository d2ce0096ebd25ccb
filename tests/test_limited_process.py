"""The helper process: what its limits count, and what becomes of one that breaks them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(code):
    code = f"from mi_explorer.limited_process import OutOfTime, processor_time\n{code}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=120, capture_output=True, text=True)


def test_the_limits_are_processor_time():
    assert run("with processor_time(2, 3): sum(range(1000))\nprint('well')").stdout == "well\n"
    used = os.times().children_user
    done = run("try:\n  with processor_time(0.3, 3):\n    while True: pass\nexcept OutOfTime: print('interrupted')")
    assert done.stdout == "interrupted\n"
    done = run("with processor_time(0.1, 0.5): sum(range(10**12))")  # one long call
    assert done.returncode == -signal.SIGVTALRM
    assert 0.7 < os.times().children_user - used < 5
    done = run("import time\nwith processor_time(0.1, 0.2): time.sleep(1)\nprint('waiting is free')")
    assert done.stdout == "waiting is free\n"


def test_a_fork_has_a_helper_of_its_own():
    code = """
import os
from mi_explorer.prompts.chat_template import render_template
say = lambda: render_template("{{ messages[0].content }}", [{"role": "user", "content": "Hi"}], {})
say()
child = os.fork()
if not child:
    os._exit(say() != "Hi")
print(os.waitpid(child, 0)[1], say())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, capture_output=True, text=True)
    assert done.stdout == "0 Hi\n", done.stderr
