"""The files of docs/scale are what they say: YAML of a RayJob, shell scripts that a shell reads, commands that our parser takes."""

import re
import shlex
import subprocess

import pytest
import yaml

from mi_explorer.cli.main import parser
from tests.servers import ROOT

FILES = sorted((ROOT / "docs" / "scale").iterdir())
TEXTS = [*FILES, ROOT / "docs" / "scale.md"]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_commands_parse(path):
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    if path.suffix == ".yaml":
        text = yaml.safe_load(text)["spec"]["entrypoint"]
    text = re.sub(r"\$\{?\w+\}?", "1", text)
    found = re.findall(r"^#?\s*(python -m mi_explorer .*)$", text, re.MULTILINE)
    assert found
    for line in found:
        args = parser().parse_args(shlex.split(line)[3:])
        assert args.handler is not None
        assert getattr(args, "name", None) in (None, "aime")


@pytest.mark.parametrize("path", [p for p in FILES if p.suffix == ".sh"], ids=lambda path: path.name)
def test_a_shell_reads_the_scripts(path):
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0
    assert path.read_text().startswith("#!/bin/bash")


def test_the_ray_job_asks_for_what_the_sweep_needs():
    job = yaml.safe_load((ROOT / "docs/scale/kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    assert cluster["rayVersion"] == pins["ray"]
    (group,) = cluster["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert limits["nvidia.com/gpu"] == "1" and limits == container["resources"]["requests"]
    head = cluster["headGroupSpec"]["template"]["spec"]
    mounted = {m["name"]: m["mountPath"] for m in head["containers"][0]["volumeMounts"]}
    assert {v["name"] for v in head["volumes"]} == set(mounted)
    assert f"--home {mounted['store']} " in job["spec"]["entrypoint"] and "--ray auto" in job["spec"]["entrypoint"]
