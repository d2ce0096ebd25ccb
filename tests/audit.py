"""Known faults of the libraries that the tests ran with, by pip-audit and the advisories of the Python Package Index.

    python tests/audit.py [--if-reachable]

Exit status: 0 no fault is known, 1 one is, 2 the advisories could not be read (0 with --if-reachable, which a machine without a
network wants; it says so). pip-audit alone calls it "no known vulnerabilities" when it could not look up a single library.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

COMMAND = (sys.executable, "-m", "pip_audit", "--local", "-f", "json", "--progress-spinner", "off")
CLEAN, FAULTS, UNKNOWN = 0, 1, 2


def verdict(found: dict[str, Any]) -> tuple[int, list[str]]:
    """Exit status and lines of what pip-audit's JSON says."""
    libraries = found["dependencies"]
    faults = [
        f"{lib['name']} {lib['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no release yet'}"
        for lib in libraries
        for fault in lib.get("vulns", ())
    ]
    skipped = [lib["name"] for lib in libraries if "skip_reason" in lib]
    lines = [
        *faults,
        f"{len(libraries) - len(skipped)} of {len(libraries)} libraries audited, {len(faults)} known faults.",
    ]
    if skipped:
        lines.append(f"Not audited, because their advisories could not be read: {', '.join(skipped)}.")
    return FAULTS if faults else UNKNOWN if skipped else CLEAN, lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--if-reachable", action="store_true", help="succeed where the advisories cannot be read")
    args = parser.parse_args()
    try:
        ran = subprocess.run(COMMAND, capture_output=True, text=True, timeout=180)
        status, lines = verdict(json.loads(ran.stdout))
    except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
        status, lines = UNKNOWN, [f"The audit did not end with a result ({type(error).__name__}); is there a network?"]
    print(*lines, sep="\n")
    return CLEAN if status == UNKNOWN and args.if_reachable else status


if __name__ == "__main__":
    sys.exit(main())
