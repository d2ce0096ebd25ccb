"""Chat templates of model families, pairs of tokenizers that have them, and their prompts."""

from mi_explorer.prompts import Prompts
from mi_explorer.recipe import Recipe
from tests.fixtures import save_tokenizer

INSTRUCT, THINKING = Recipe(lam=0), Recipe(lam=1)
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<|User|>' + m['content'] }}{% endif %}"
    "{% if m['role'] == 'assistant' %}{{ '<|Assistant|>' + m['content'].split('</think>')[-1] + '<|end|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}"
)
HYBRID = (
    "{%- set ns = namespace(last='') %}{% if not thinking is defined %}{% set thinking = false %}{% endif %}"
    "{% for m in messages %}{{ '[U]' + m.content if m.role == 'user' else m.content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[A]' }}{% if thinking %}{{ '<think>' }}{% else %}{{ '</think>' }}{% endif %}{% endif %}"
)


def load(tmp_path, instruct, thinking, pair=None, **more):
    """`Prompts` of two tokenizers given as settings of `save_tokenizer`."""
    folders = [
        str(save_tokenizer(tmp_path / role, **s)) for role, s in (("instruct", instruct), ("thinking", thinking))
    ]
    return Prompts.load(folders, pair, **more)


QWEN = {"special": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "template": CHATML, "eos": "<|im_end|>"}
DISTILL = {
    "special": ["<bos>", "<|end|>", "<|User|>", "<|Assistant|>", "<think>", "</think>"],
    "template": R1,
    "eos": "<|end|>",
    "bos": "<bos>",
}
CACHE = {}  # prompts by template, made once for all examples
