"""The link to Ray's dashboard: what Ray gives in the usual cases, and what is none."""

import pytest

from mi_explorer.cluster.dashboard import dashboard_link


@pytest.mark.parametrize(
    ("said", "link"),
    [
        ("127.0.0.1:8265", "http://127.0.0.1:8265"),  # ray[default] on this machine
        ("head-0.ray.svc:8265", "http://head-0.ray.svc:8265"),
        ("[fd00::1]:8265", "http://[fd00::1]:8265"),
        ("https://ray.example.org/cluster-1/", "https://ray.example.org/cluster-1/"),
        ("", ""),  # no dashboard: not installed, or switched off
        (None, ""),
        (8265, ""),
    ],
)
def test_an_address_becomes_a_link(said, link):
    assert dashboard_link(said) == link


@pytest.mark.parametrize(
    "said",
    [
        "javascript://alert(1)",
        "javascript:alert(1)",
        "data://text/html,<script>",
        "file:///etc/passwd",
        "http://user:secret@host:8265",
        "http://host:99999",
        "http://host:8265/?next=x",
        "host:8265/#x",
        "http://ho st:8265",
        "http://host\n:8265",
        'http://host:8265/"onclick="x',
        "http://",
        "http://" + "a" * 400,
    ],
)
def test_what_is_no_plain_web_address_is_not_linked(said):
    assert dashboard_link(said) == ""
