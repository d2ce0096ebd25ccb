"""Workers on a Ray cluster of two simulated nodes: the samples of one engine, and a node that is taken away in mid-study."""

import pytest
import ray
from ray.cluster_utils import Cluster

from mi_explorer.cluster.cluster_runner import ClusterRunner
from mi_explorer.cluster.crew import Crew
from mi_explorer.cluster.ray_worker import ClusterError, RayLauncher
from mi_explorer.cluster.worker_engine import EngineSetup
from mi_explorer.studies.progress import SampleDone, WorkerNews
from mi_explorer.studies.store.store import Store
from tests.cluster.scripted_worker import maker
from tests.cluster.test_cluster import ROOT, alone, content
from tests.studies.runs import ITEMS, of, plan

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with one core each; the driver's node has none."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    found = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "include_dashboard": False})
    nodes = [found.add_node(**NODE) for _ in range(2)]
    yield found, nodes
    ray.shutdown()
    found.shutdown()


def test_a_node_is_lost_in_mid_study_and_another_comes(cluster, tmp_path):
    found, nodes = cluster
    store, taken = Store(tmp_path / "s.db"), []
    crew = Crew(RayLauncher(maker(delay=0.002), found.address), None, EngineSetup, 60.0)
    assert crew.wanted == 2  # as many as there is room for
    runner, done, workers = ClusterRunner(store, plan(samples=20), ITEMS, crew), 0, set()
    news, last = [], None
    try:
        for last in runner.run():
            done += isinstance(last, SampleDone)
            news += of(WorkerNews, [last])
            workers |= {w.name for w in crew.status() if w.done}
            if len(workers) == 2 and not taken:
                taken.append(nodes[0])
                found.remove_node(nodes[0], allow_graceful=False)
                found.add_node(**NODE)
    finally:
        crew.close()
    assert taken and any("lost" in n.text for n in news)
    assert (last.state, last.failed, last.done, done) == ("done", 0, 300, 300)
    assert content(store) == alone(tmp_path, plan(samples=20))


def test_no_cluster_is_told_in_a_sentence():
    with pytest.raises(ClusterError, match="ray start"):
        RayLauncher(maker(), "127.0.0.1:1")
