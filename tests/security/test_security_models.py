"""A hostile corpus of models' files: judged in words, in little memory; no code and no pickle is run."""

import json
import shutil

import pytest

from mi_explorer.checkpoints.preflight import preflight
from mi_explorer.errors import UserError
from mi_explorer.pairs import Pair
from tests.security.memory_bound import DEEP, MINI, modest

JSONS = (b"", b"null", b"[]", b"7", DEEP.encode(), b'{"a":' * 40_000, b"\xff\xfe", b'{"hidden_size": 1e400}',
    b'{"num_hidden_layers": -1, "vocab_size": "many"}',
         b'{"architectures": [[["x"]]], "torch_dtype": {}, "tie_word_embeddings": "yes"}',
         b'{"auto_map": {"AutoModelForCausalLM": "evil.Model"}}')  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "adapter_config.json",
    ],
)
@pytest.mark.parametrize("content", JSONS)
def test_hostile_files_of_a_model_are_judged_in_words(tmp_path, name, content):
    for part in ("instruct", "thinking"):
        shutil.copytree(MINI / part, tmp_path / part)
    (tmp_path / "thinking" / name).write_bytes(content)
    with modest():
        try:
            judged = preflight(Pair("x", str(tmp_path / "instruct"), str(tmp_path / "thinking")))
        except UserError as error:
            assert len(str(error)) < 1500
        else:
            assert all(len(f.text()) < 3000 for f in judged.findings)


@pytest.mark.parametrize(
    "shard", ["../../etc/passwd", "/etc/passwd", "..", "sub/../../x.safetensors", "model.safetensors\x00", ""]
)
def test_an_index_may_not_point_out_of_its_folder(tmp_path, shard):
    for part in ("instruct", "thinking"):
        shutil.copytree(MINI / part, tmp_path / part)
    (tmp_path / "thinking" / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"model.norm.weight": shard}})
    )
    judged = preflight(Pair("x", str(tmp_path / "instruct"), str(tmp_path / "thinking")))
    assert not judged.ok and "root:" not in "".join(f.text() for f in judged.findings)


def test_no_code_and_no_pickle_of_a_model_is_run(tmp_path):
    for part in ("instruct", "thinking"):
        shutil.copytree(MINI / part, tmp_path / part)
    evil = f"open({str(tmp_path / 'ran')!r}, 'w').write('x')"
    folder = tmp_path / "thinking"
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "auto_map": {"AutoModelForCausalLM": "evil.M", "AutoTokenizer": ["evil.T", "evil.T"], "AutoConfig": "evil.C"}
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(evil)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**settings, "auto_map": {"AutoTokenizer": ["evil.T", "evil.T"]}})
    )
    import pickle

    class Evil:
        def __reduce__(self):
            return exec, (evil,)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil()))
    (folder / "tokenizer.pkl").write_bytes(pickle.dumps(Evil()))
    from mi_explorer.workbench import Workbench

    try:
        with Workbench.open(Pair("x", str(tmp_path / "instruct"), str(folder)), home=tmp_path / "home") as bench:
            assert bench.layers == 6
    except UserError:
        pass
    assert not (tmp_path / "ran").exists()
    (folder / "model.safetensors").unlink()  # with only the pickle left there is nothing to load
    judged = preflight(Pair("x", str(tmp_path / "instruct"), str(folder)))
    assert not judged.ok and "safetensors" in " ".join(f.text() for f in judged.findings)


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ cycler.__init__.__globals__.os.system('true') }}", "{% include '/etc/passwd' %}",
                                      "{{ raise_exception('no') }}", "{% for i in range(10**9) %}x{% endfor %}",
                                      "{{ 'x' * 10**16 }}"])  # fmt: skip
def test_hostile_chat_templates_end_in_words(template):
    from mi_explorer.prompts import PromptError, Prompts
    from mi_explorer.recipe import Recipe

    prompts = Prompts.load([str(MINI / "instruct"), str(MINI / "thinking")])
    prompts.templates["thinking"] = template
    with modest(), pytest.raises(PromptError):
        prompts.render("hello", Recipe(lam=1.0))
