"""The labs (pairs of tiny models), made once per session at first use."""

from functools import cache

import pytest

from tests.engine.lab import Lab


@pytest.fixture(scope="session")
def labs(tmp_path_factory):
    """kind → Lab."""

    @cache
    def lab(kind: str) -> Lab:
        return Lab(kind, tmp_path_factory.mktemp(kind))

    return lab
