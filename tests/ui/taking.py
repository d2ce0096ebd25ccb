"""A page with one pair, and what Take away is asked over the wire."""

import time

from mi_explorer.ui.access.access_policy import AccessPolicy
from mi_explorer.ui.explore import view as views
from mi_explorer.ui.explore.view import View
from mi_explorer.ui.file_jobs import FileJobs

QUESTION = "What is 12 + 30?"


class OnePair:
    """The pairs of a page with one of them; `access` is the operator's."""

    def __init__(self, bench, access=None):
        self.bench, self.access = bench, access or AccessPolicy(first_pair="mini")

    def at(self, name):
        return self  # as an `OpenPair` with this bench


def wire(**values) -> dict:
    return {**views.view_dict(View()), **values}


def wait(files: FileJobs, token: str, seconds: float = 60) -> dict:
    end = time.monotonic() + seconds
    while (now := files.look(token))["state"] in ("waiting", "running") and time.monotonic() < end:
        time.sleep(0.02)
    return now
