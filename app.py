"""MI Explorer's page: settings → workbench → page. `python app.py --help` lists what can be set."""

import sys

from mi_explorer.ui.open_page import open_page

if __name__ == "__main__":
    sys.exit(open_page())
