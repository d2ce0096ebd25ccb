"""Traces, tasks and measures are text and numbers: they start without torch, transformers, gradio, datasets or sympy."""

import subprocess
import sys
from pathlib import Path


def test_no_heavy_import():
    modules = "mi_explorer.generation.traces, mi_explorer.tasks.registry, mi_explorer.studies.stats.metrics, mi_explorer.studies.stats.stages, mi_explorer.studies.report.table"
    heavy = ("torch", "transformers", "gradio", "datasets", "sympy", "math_verify", "lm_eval", "reasoning_gym", "scipy")
    code = f"import sys, {modules}; print([m for m in {heavy!r} if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
