"""Which code a result was made with: versions of Python, this package and the libraries that decide results."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path

LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "math-verify")


def versions() -> dict[str, str]:
    """Versions of Python, this package (with its git commit in a checkout) and the libraries that decide results."""
    import mi_explorer

    found = {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "mi_explorer": getattr(mi_explorer, "__version__", "0"),
        "commit": _commit(Path(mi_explorer.__file__).parent),
    }
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit(folder: Path) -> str:
    """Short commit of the checkout that holds this package; "" outside a checkout."""
    try:
        out = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return out.stdout.strip() if out.returncode == 0 else ""
