"""The audit of dependencies: a fault fails it, and what could not be looked up is never called clean."""

import pytest

from tests.audit import CLEAN, FAULTS, UNKNOWN, verdict

SOUND = {"name": "numpy", "version": "2.4.6", "vulns": []}
FAULTY = {
    "name": "jinja2",
    "version": "2.4",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}, {"id": "X-1", "fix_versions": []}],
}
MISSED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}


@pytest.mark.parametrize(
    ("libraries", "status", "said"),
    [
        ([SOUND], CLEAN, "1 of 1 libraries audited, 0 known faults."),
        ([SOUND, FAULTY], FAULTS, "jinja2 2.4: PYSEC-2019-217, mended in 2.10.1"),
        ([FAULTY], FAULTS, "jinja2 2.4: X-1, mended in no release yet"),
        ([MISSED, SOUND], UNKNOWN, "Not audited, because their advisories could not be read: torch."),
        ([MISSED, FAULTY], FAULTS, "1 of 2 libraries audited, 2 known faults."),
    ],
)
def test_the_audit_says_what_it_found_and_what_it_could_not(libraries, status, said):
    found, lines = verdict({"dependencies": libraries})
    assert found == status and said in lines
