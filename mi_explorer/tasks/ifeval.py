"""IFEval (2311.07911): prompts whose instructions a program can check. The checks are those of lm-eval (optional extra).

Strict asks that the response as it stands follows every instruction; loose forgives a first or last line and asterisks.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mi_explorer.tasks.check_process import CheckUnavailable
from mi_explorer.tasks.sources import BenchmarkSource
from mi_explorer.tasks.task import Question, Task, TaskError
from mi_explorer.untyped import LibraryObject

SOURCE = BenchmarkSource("google/IFEval", "train", ("prompt", "instruction_id_list", "kwargs"), "Apache-2.0")
EXTRA = "IFEval's checks come with an extra that is not installed: pip install 'lm-eval[ifeval]>=0.4.9'."
PUNKT = "This IFEval instruction counts sentences and needs NLTK's data: python -m nltk.downloader punkt_tab."
NEEDS_PUNKT = ("length_constraints:number_sentences",)


def load_ifeval(seed: int = 0, path: str | Path | None = None, loose: bool = False) -> Task:
    """The 541 prompts. The gold answer of a question is the JSON of its instructions; a `loose` task forgives more."""
    kind = "ifeval_loose" if loose else "ifeval"
    questions = []
    for i, row in enumerate(SOURCE.rows(path)):
        try:
            given = [json.loads(v) if isinstance(v, str) else v for v in (row["instruction_id_list"], row["kwargs"])]
            prompt, ids = str(row["prompt"]), [str(i) for i in given[0]]
            gold = {"prompt": prompt, "ids": ids, "kwargs": [dict(k or {}) for k in given[1]]}
        except (TypeError, ValueError):
            raise TaskError(
                f"Row {i + 1} of {path or SOURCE.id} has no list of instructions with their arguments."
            ) from None
        family = ids[0].split(":")[0] if ids else ""
        text = json.dumps(gold, ensure_ascii=False, sort_keys=True)
        questions.append(Question(f"ifeval-{row.get('key', i)}", prompt, text, family, len(ids), kind=kind))
    title = "IFEval (loose)" if loose else "IFEval (strict)"
    _ready({i for q in questions for i in json.loads(q.answer)["ids"]})
    return Task("ifeval-loose" if loose else "ifeval", tuple(questions), "", SOURCE.licence, SOURCE.id, title=title)


def _ready(ids: set[str]) -> None:
    """Raise `TaskError` if the checks of these instructions cannot run here: better now than after the first samples."""
    if not all(find_spec(name) for name in ("lm_eval", "langdetect", "nltk", "immutabledict")):
        raise TaskError(EXTRA)
    if ids & set(NEEDS_PUNKT):
        import nltk

        try:
            nltk.data.find("tokenizers/punkt_tab")
        except LookupError:
            raise TaskError(PUNKT) from None


def ifeval_checker(loose: bool) -> Callable[[str, str], bool]:
    """In the check process: (gold, response) -> whether every instruction is followed. Raises `CheckUnavailable` without the extra."""
    try:
        import langdetect
        import nltk

        nltk.download = lambda *args, **kwargs: (
            False
        )  # lm-eval downloads at import; a check must not reach for the network
        from lm_eval.tasks.ifeval import utils
    except ImportError:
        raise CheckUnavailable(EXTRA) from None
    langdetect.DetectorFactory.seed = 0  # it draws at random otherwise
    test: LibraryObject = utils.test_instruction_following_loose if loose else utils.test_instruction_following_strict

    def check(gold: str, response: str) -> bool:
        item = json.loads(gold)
        example = utils.InputExample(0, item["ids"], item["prompt"], item["kwargs"])
        try:
            return bool(test(example, response).follow_all_instructions)
        except LookupError as error:
            if set(item["ids"]) & set(NEEDS_PUNKT) or "punkt" in str(error):
                raise CheckUnavailable(PUNKT) from None
            raise

    return check
