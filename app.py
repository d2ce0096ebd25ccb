"""MI Explorer's page: settings → workbench → page. `python app.py --help` lists what can be set."""

import sys

from mi_explorer.ui.main import main

if __name__ == "__main__":
    sys.exit(main())
