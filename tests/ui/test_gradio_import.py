"""The page's import of Gradio: nothing is written beside Gradio's files, nor read for that."""

import os
import subprocess
import sys

from tests.servers import ROOT

CODE = """
import inspect, sys
from mi_explorer.ui.gradio_import import without_type_stubs

stubs, before = [], inspect.getfile
sys.addaudithook(lambda event, values: event == "open" and str(values[0]).endswith(".pyi") and stubs.append(values[0]))
with without_type_stubs():
    import gradio
    assert inspect.getfile(without_type_stubs).endswith(".py")
assert inspect.getfile is before
print(len(stubs))
import part
print(len(stubs))
"""


def test_no_stub_is_read_or_written(tmp_path):
    """A component that is made afterwards shows that Gradio would write one: where it no longer does, the patch can go."""
    (tmp_path / "part.py").write_text("import gradio\n\n\nclass Part(gradio.Textbox):\n    pass\n", encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    during, after = map(int, done.stdout.split())
    assert during == 0 < after and (tmp_path / "part.pyi").exists()
