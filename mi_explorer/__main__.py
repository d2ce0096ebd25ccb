"""`python -m mi_explorer`."""

import sys

from mi_explorer.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
