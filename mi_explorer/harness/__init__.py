"""The bridge to lm-eval: `model.py` is a blend as one of its models, `requests.py` and `likelihood.py` what that takes.

Importing this package registers the model name `mi_explorer`. It needs the extra `lm-eval`, and nothing else imports it.
"""

from mi_explorer.harness.model import BlendLM
from mi_explorer.harness.requests import HarnessError, ResponseCost, mean_costs, score_answers

__all__ = ["BlendLM", "HarnessError", "ResponseCost", "mean_costs", "score_answers"]
