"""Generous readings of responses beside their verdicts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.studies.stats.mentions import mentions_answer, study_mentions
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.store import Store
from mi_explorer.tasks.verify import same
from tests.fakes import ByteTokenizer
from tests.studies.filled_store import filled


@pytest.mark.parametrize(
    ("gold", "text", "found"),
    [
        ("56", "So, Ivy pays $56 for the 3 plants.", True),
        ("79", "So, Ivy pays $56 for the 3 plants and 56 shirts.", False),
        ("2", 'The letter "r" is repeated twice.', True),
        ("3", "There are **three** of them!", True),
        ("3", "There are 13 of them, or 3.5.", False),
        ("Thursday", "It would be (Thursday).", True),
        ("10:25", "The train leaves at 10:25.", True),
        ("5 feet 3 inches", "She is 5 feet 3 inches tall.", True),
        ("5", "", False),
    ],
)
def test_a_text_mentions_an_answer_that_stands_in_it_as_words(gold, text, found):
    assert mentions_answer(gold, text) is found


@given(st.integers(0, 999), st.lists(st.integers(0, 999), max_size=8))
def test_of_a_list_of_numbers_those_are_mentioned_that_are_in_it(gold, numbers):
    text = ", then ".join(map(str, numbers))
    assert mentions_answer(str(gold), text) is any(same(str(gold), str(number)) for number in numbers)


def script(request):
    """What is right stands behind: an answer that is read, a last sentence, an earlier sentence, nothing."""
    number = int(re.search(r"What is (\d)", ByteTokenizer().decode(request.prompt))[1])
    return {
        0: f"The answer is {number + 4}.",
        1: f"We count on from {number} to {number + 4} with our fingers and so on and on.",
        2: f"It may be {number + 4} of them, who knows? That is hard to tell for anybody here.",
        3: "That is hard to tell for anybody here, whoever is asked about it.",
    }[number]


def test_the_readings_of_a_study_grow_from_verdict_to_last_sentence_to_anywhere(tmp_path):
    with filled(tmp_path / "s.db", script=script) as store:
        found = study_mentions(store, "s")
    assert len(found) == 3
    for cell in found.values():
        assert (cell.right.value, cell.last.value, cell.anywhere.value, cell.samples) == (0.25, 0.5, 0.75, 8)
        assert cell.last.low <= 0.5 <= cell.last.high


def test_without_texts_there_is_nothing_to_read(tmp_path):
    with filled(tmp_path / "s.db") as store:
        export_study(store, "s", tmp_path / "s.parquet", texts=0)
    with Store(tmp_path / "s.parquet", readonly=True) as bare, pytest.raises(UserError):
        study_mentions(bare, "s")
