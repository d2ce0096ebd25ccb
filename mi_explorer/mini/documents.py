"""Training documents: token ids with a loss mask, in length-sorted batches, from a seed and a batch number alone."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from mi_explorer.mini.families import problem_stream
from mi_explorer.mini.render import Pieces, Style, facts, render_solution
from mi_explorer.mini.tokenizer import END_OF_TEXT, IM_END, prompt_text

POOL = 1024  # documents that are sorted by length together


@dataclass(frozen=True)
class Mix:
    """What a training run reads: shares of fact lists and plain texts, the rest is chat in `style`."""

    style: Style
    facts: float = 0.0
    plain: float = 0.0
    learn_question: float = 0.0  # share of documents whose question is learned too
    split: str = "train"
    weights: tuple[tuple[str, float], ...] = ()  # family weights other than those of the families


Document = tuple[list[int], list[bool]]


def encode(tokenizer: Tokenizer, pieces: Pieces) -> Document:
    """Ids and loss mask of the pieces, one after the other (pieces begin where the tokenizer splits anyway)."""
    ids: list[int] = []
    learn: list[bool] = []
    for text, wanted in pieces:
        new = tokenizer.encode(text, add_special_tokens=False).ids
        ids += new
        learn += [wanted] * len(new)
    return ids, learn


def pool(tokenizer: Tokenizer, mix: Mix, seed: int, number: int) -> list[Document]:
    """Pool `number` of a run: equal arguments give equal documents."""
    rng = random.Random(f"pool-{seed}-{number}")
    problems = problem_stream(rng.getrandbits(48), mix.split, dict(mix.weights))  # type: ignore[arg-type]
    documents = []
    for _ in range(POOL):
        kind = rng.random()
        if kind < mix.facts:
            documents.append(encode(tokenizer, facts(rng, rng.randint(4, 12)) + [(END_OF_TEXT, True)]))
            continue
        problem = next(problems)
        ask = rng.random() < mix.learn_question
        if kind < mix.facts + mix.plain:
            pieces = (
                [(f"{problem.question}\n", ask)] + render_solution(problem, Style(1, 1, 0), rng) + [(END_OF_TEXT, True)]
            )
        else:
            pieces = (
                [(prompt_text(problem.question), ask)] + render_solution(problem, mix.style, rng) + [(IM_END, True)]
            )
        documents.append(encode(tokenizer, pieces))
    return documents


def batches(
    tokenizer: Tokenizer, mix: Mix, seed: int, tokens: int, first_pool: int = 0
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Endless (pool number, ids [rows, length], learn [rows, length]) of about `tokens` padded tokens each."""
    pad = int(tokenizer.token_to_id(END_OF_TEXT) or 0)
    number = first_pool
    while True:
        documents = sorted(pool(tokenizer, mix, seed, number), key=lambda d: len(d[0]))
        groups: list[list[Document]] = [[]]
        for document in documents:
            if (len(groups[-1]) + 1) * len(document[0]) > tokens:
                groups.append([])
            groups[-1].append(document)
        random.Random(f"order-{seed}-{number}").shuffle(groups)
        for group in groups:
            length = -(-max(len(ids) for ids, _ in group) // 8) * 8
            ids = torch.full((len(group), length), pad)
            learn = torch.zeros((len(group), length), dtype=torch.bool)
            for row, (doc, wanted) in enumerate(group):
                ids[row, : len(doc)] = torch.tensor(doc)
                learn[row, : len(doc)] = torch.tensor(wanted)
            yield number, ids, learn
        number += 1
