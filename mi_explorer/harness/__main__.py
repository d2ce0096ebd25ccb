"""lm-eval's own command line with the model `mi_explorer` registered.

python -m mi_explorer.harness run --model mi_explorer --model_args pair=mini,lam=0.8 --tasks gsm8k --apply_chat_template
"""

from lm_eval.__main__ import cli_evaluate

import mi_explorer.harness  # noqa: F401  registers the model

if __name__ == "__main__":
    cli_evaluate()
