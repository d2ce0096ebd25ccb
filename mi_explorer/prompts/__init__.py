"""Prompts: a question and a recipe in; token ids, the text they stand for, and whether a thought is open out.

A pair has two tokenizers and two chat templates. Each template is rendered (in a process with limits) and encoded by its own
parent's tokenizer. Think tags and stop ids are told here from tokenizer files and templates. No weights are read.
"""

from mi_explorer.prompts.pair_prompts import Prompt, Prompts
from mi_explorer.prompts.token_codec import PromptError

__all__ = ["Prompt", "PromptError", "Prompts"]
