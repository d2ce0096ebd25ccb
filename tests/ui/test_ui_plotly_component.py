"""Figures: texts that stay texts, content that reads back, and plotly's script handed out from here."""

import gzip
import json

import plotly.graph_objects as go
from starlette.applications import Starlette
from starlette.testclient import TestClient

from mi_explorer.ui import plotly_component


def test_labels_show_tags_as_typed():
    assert (
        plotly_component.label_text("<a href='javascript:x'>λ & co</a>")
        == "&lt;a href='javascript:x'&gt;λ &amp; co&lt;/a&gt;"
    )


def test_content_reads_back_without_plotly_s_template():
    drawn = go.Figure(go.Scatter(x=[0, 1], y=[0.25, 0.5]), go.Layout(xaxis_title="λ"))
    back = json.loads(plotly_component.figure_content(drawn, ["λ", "accuracy (%)"], [[0, 25.0], [1, None]], "accuracy"))
    assert back["figure"]["data"][0]["y"] == [0.25, 0.5] and "template" not in back["figure"]["layout"]
    assert (
        back["columns"] == ["λ", "accuracy (%)"]
        and back["rows"] == [[0, 25.0], [1, None]]
        and back["name"] == "accuracy"
    )


def test_plotly_s_script_is_sent_compressed_from_here():
    client = TestClient(Starlette(routes=[plotly_component.plotly_route()]))
    with client.stream("GET", plotly_component.PLOTLY_ROUTE, headers={"Accept-Encoding": "gzip"}) as answer:
        packed = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip" and len(packed) < 600_000
    whole = client.get(plotly_component.PLOTLY_ROUTE, headers={"Accept-Encoding": "identity"})
    assert whole.content == gzip.decompress(packed) and b"plotly.js (cartesian" in whole.content[:500]
