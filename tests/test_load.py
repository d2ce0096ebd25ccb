"""A small crowd on the real page of the embedded pair: everybody gets their own traces, nothing is left behind."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "bench"))

import bench_load  # noqa: E402


@pytest.mark.timeout(900)
def test_six_visitors_get_their_own_traces_and_leave_nothing_behind():
    found = bench_load.measure(visitors=6, seconds=15)
    assert found["ok"], found
    assert (
        found["finished_traces"] >= 6
        and {"here", "client"} <= set(found["kinds"])
        and found["statuses"].get(200, 0) > 0
    )
