"""The bridge to lm-eval: `model.py` is a blend as one of its models, `answers.py` and `likelihood.py` what that takes.

Importing this package registers the model name `mi_explorer`. It needs the extra `lm-eval`, and nothing else imports it.
"""

from mi_explorer.harness.answers import HarnessError, Told, costs, score
from mi_explorer.harness.model import BlendLM

__all__ = ["BlendLM", "HarnessError", "Told", "costs", "score"]
