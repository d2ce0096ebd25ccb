"""Training documents: token ids with a loss mask, in batches of about one length, from a seed and a number alone."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from mi_explorer.smollm2.everyday import Everyday
from mi_explorer.smollm2.number_problems import NUMBER_KINDS
from mi_explorer.smollm2.responses import Pieces, everyday_response, response
from mi_explorer.smollm2.word_problem import Draw
from mi_explorer.smollm2.word_problems import WORD_KINDS

KINDS: dict[str, Draw] = {**NUMBER_KINDS, **WORD_KINDS}
POOL = 512  # documents that are sorted by length together
EVERYDAY = 0.12  # share of documents
MARK = "\x00"  # stands for the question where the chat template is rendered

Document = tuple[list[int], list[bool]]


@dataclass(frozen=True)
class Chat:
    """How a question is put to the model: the tokenizer, and the text of the template before and behind a question and at the end."""

    tokenizer: Tokenizer
    before: str
    behind: str
    end: str

    @classmethod
    def load(cls, folder: str) -> "Chat":
        """Of a checkpoint with a chat template."""
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": MARK}], tokenize=False, add_generation_prompt=True
        )
        before, behind = str(text).split(MARK)
        return cls(tokenizer.backend_tokenizer, before, behind, str(tokenizer.eos_token))

    def document(self, question: str, pieces: Pieces) -> Document:
        """Ids of prompt and response, and which of them are learned."""
        ids: list[int] = []
        learn: list[bool] = []
        for text, wanted in [(self.before + question + self.behind, False), *pieces, (self.end, True)]:
            new = self.tokenizer.encode(text, add_special_tokens=False).ids
            ids += new
            learn += [wanted] * len(new)
        return ids, learn


def document_pool(chat: Chat, answers: Sequence[tuple[Everyday, str]], seed: int, number: int) -> list[Document]:
    """Pool `number` of a run: equal arguments give equal documents. `answers`: everyday questions with Instruct's answers."""
    rng = random.Random(f"pool-{seed}-{number}")
    documents: list[Document] = []
    names = list(KINDS)
    while len(documents) < POOL:
        if answers and rng.random() < EVERYDAY:
            asked, answer = rng.choice(answers)
            documents.append(chat.document(asked.question, everyday_response(asked.about, answer, rng)))
            continue
        problem = KINDS[rng.choice(names)](rng)
        if problem.split == "train":
            documents.append(chat.document(problem.question, response(problem, rng)))
    return documents


def plain_batch(
    chat: Chat, responses: Sequence[tuple[str, str]], rng: random.Random, tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, learn) as of `chat_batches`, of Instruct's own (question, response) without a thought."""
    documents = [chat.document(question, [(text, True)]) for question, text in rng.sample(responses, len(responses))]
    longest = len(documents[0][0])
    group: list[Document] = []
    for document in documents:
        longest = max(longest, len(document[0]))
        if group and (len(group) + 1) * longest > tokens:
            break
        group.append(document)
    return _padded(group)


def _padded(group: Sequence[Document]) -> tuple[torch.Tensor, torch.Tensor]:
    """Padded on the right: with a causal mask no token sees the padding."""
    length = max(len(ids) for ids, _ in group)
    ids = torch.zeros(len(group), length, dtype=torch.long)
    learn = torch.zeros(len(group), length, dtype=torch.bool)
    for row, (tokens_of, wanted) in enumerate(group):
        ids[row, : len(tokens_of)] = torch.tensor(tokens_of)
        learn[row, : len(wanted)] = torch.tensor(wanted)
    return ids, learn


def chat_batches(
    chat: Chat, answers: Sequence[tuple[Everyday, str]], seed: int, tokens: int, first: int = 0
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Endless (pool number, ids [rows, length], learn [rows, length]) of about so many padded tokens each."""
    number = first
    while True:
        groups: list[list[Document]] = [[]]
        for document in sorted(document_pool(chat, answers, seed, number), key=lambda d: len(d[0])):
            if (len(groups[-1]) + 1) * len(document[0]) > tokens:
                groups.append([])
            groups[-1].append(document)
        random.Random(f"order-{seed}-{number}").shuffle(groups)
        for group in groups:
            ids, learn = _padded(group)
            yield number, ids, learn
        number += 1
