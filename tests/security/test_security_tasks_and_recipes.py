"""A hostile corpus of task files and recipes: refused in words, in little memory; nothing in them is run."""

import pytest

from mi_explorer import recipe_io
from mi_explorer.errors import UserError
from mi_explorer.mergekit_reader import from_mergekit
from mi_explorer.recipe import RecipeError
from mi_explorer.tasks import load_task
from mi_explorer.tasks.task import TaskError
from tests.security.memory_bound import DEEP, modest


@pytest.mark.parametrize(
    "line",
    [DEEP, '{"question": "q", "answer": "a", "level": Infinity}', '{"question": "q", "answer": "a", "level": 1e400}',
     '{"question": {"x": 1}, "answer": "a"}',
     '{"question": "q", "answer": ["a"]}', '{"question": "q", "answer": "a", "choices": "' + "[" * 5000 + '"}',
     '{"question": "q", "answer": "a", "choices": {"0": "a", "1": "b"}}', '{"question": "q", "answer": "a", "kind": "__import__"}',
     '{"question": "' + "q" * 200_000 + '", "answer": "a"}', '{"question": "q", "answer": "' + "9" * 2_000_000 + '"}', '{"question": "q"',
         "null", "7"],
)  # fmt: skip
def test_hostile_questions_are_refused_in_words(tmp_path, line):
    (tmp_path / "t.jsonl").write_text(line)
    with modest(), pytest.raises(TaskError) as told:
        load_task(tmp_path / "t.jsonl")
    assert len(str(told.value)) < 500


@pytest.mark.parametrize(
    "text", ["question,answer\n" + "q" * 200_000 + ",1", 'question,answer\n"q,1', "question,answer\n,1", "a,b\n1,2"]
)
def test_hostile_tables_are_refused_in_words(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with modest(), pytest.raises(TaskError) as told:
        load_task(tmp_path / "t.csv")
    assert len(str(told.value)) < 500


def test_a_task_of_a_million_questions_is_refused(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"question":"q","answer":"1"}\n' * 200_001)
    with modest(900 << 20), pytest.raises(TaskError, match="at most 200,000"):
        load_task(tmp_path / "t.jsonl")


BILLION = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
)
YAMLS = (BILLION, "!!python/object/apply:os.system ['true']", "!!python/name:os.system", "pair: !!binary AAAA", "[" * 30_000,
    "{" * 30_000, "? " * 20_000,
         "\n".join(f"k{i}: 1" for i in range(8_000)), "lambda: 0.5\nlambda: 0.6", "lambda: .nan", "lambda: 0x7fffffffffffffffffffffff",
         "lambda: 1_0:59:59",
         "pair: " + "x" * 70_000, "- " * 30_000, "%YAML 9.9\n---\npair: mini", "pair: [mini]", "\x00", "layers: " + "1," * 20_000,
         "modules: [{}]",
         "params: {density: .inf}", "&a [*a]", "<<: {pair: x}", "---\npair: a\n---\npair: b", "lambda: true", "# nothing", "'")  # fmt: skip


@pytest.mark.parametrize("text", YAMLS)
def test_hostile_recipes_are_refused_in_words_at_once(text):
    for read in (recipe_io.from_yaml, recipe_io.from_json, recipe_io.from_query, from_mergekit):
        with modest(200 << 20):
            try:
                read(text)
            except RecipeError as error:
                assert len(str(error)) < 700
            except UserError:
                pass


def test_nothing_of_a_hostile_recipe_is_run(tmp_path):
    for tag in (
        "!!python/object/apply:os.mkdir",
        "!!python/object/new:os.mkdir",
        "tag:yaml.org,2002:python/object/apply:os.mkdir",
    ):
        with pytest.raises(UserError):
            recipe_io.from_yaml(f"{tag if tag.startswith('!') else '!<' + tag + '>'} ['{tmp_path / 'made'}']")
    assert not (tmp_path / "made").exists()
