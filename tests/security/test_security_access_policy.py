"""What visitors' names may reach: traversal, links, the hub, tasks; and that a refusal tells nothing about files outside."""

import shutil
from pathlib import Path

import pytest

from mi_explorer.errors import UserError
from mi_explorer.paths import ASSETS
from mi_explorer.ui.access.access_policy import AccessError, AccessPolicy

MINI = ASSETS / "models" / "mini"


@pytest.fixture
def allowed(tmp_path):
    """A folder with a copy of a model's configs, beside a secret that no visitor may have."""
    folder = tmp_path / "allowed"
    for part in ("instruct", "thinking"):
        (folder / part).mkdir(parents=True)
        shutil.copy(MINI / part / "config.json", folder / part)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "task.jsonl").write_text('{"question": "secret", "answer": "1"}')
    (tmp_path / "allowed-not").mkdir()  # shares the name's beginning only
    return folder


def guard(allowed, **more):
    return AccessPolicy(**{"pairs": "any", "hub": False, "folders": (str(allowed.resolve()),), **more})


ESCAPES = (
    "../secret/task.jsonl",
    "./../secret/task.jsonl",
    "instruct/../../secret/task.jsonl",
    "instruct//..//..//secret/task.jsonl",
)


@pytest.mark.parametrize("tail", ESCAPES)
def test_no_path_climbs_out_of_an_allowed_folder(allowed, tail):
    assert (allowed / tail).is_file()  # it is there and could be read
    for judge in (guard(allowed).path, guard(allowed).target, guard(allowed).task):
        with pytest.raises(AccessError, match="does not open"):
            judge(str(allowed / tail))


@pytest.mark.parametrize(
    "text",
    ["/etc/passwd", "~root/x.csv", "~/x.csv", "//etc/passwd", "/proc/self/environ", "/dev/zero", "file:///etc/passwd",
     "x/../../etc/passwd", "..",
     "/", "", "   ", "a\x00b.csv", "x" * 5000],
)  # fmt: skip
def test_hostile_paths_are_refused_in_words(allowed, text, monkeypatch):
    monkeypatch.chdir(allowed.parent)
    for judge in (guard(allowed).path, guard(allowed).target):
        with pytest.raises(AccessError) as refused:
            judge(text)
        assert len(str(refused.value)) < 400


def test_inside_is_inside_and_a_name_that_begins_alike_is_not(allowed):
    assert guard(allowed).path(allowed / "instruct") == (allowed / "instruct").resolve()
    assert guard(allowed).target(allowed / "new" / "deep") == (allowed / "new" / "deep").resolve()
    with pytest.raises(AccessError):
        guard(allowed).path(str(allowed) + "-not")


def test_links_are_followed_before_judging(allowed, tmp_path):
    (allowed / "way-out").symlink_to(tmp_path / "secret")
    (allowed / "file.jsonl").symlink_to(tmp_path / "secret" / "task.jsonl")
    (tmp_path / "way-in").symlink_to(allowed)
    for text in (allowed / "way-out" / "task.jsonl", allowed / "file.jsonl", allowed / "way-out" / "new"):
        with pytest.raises(AccessError):
            guard(allowed).path(text)
        with pytest.raises(AccessError):
            guard(allowed).target(text)
    assert guard(allowed).path(tmp_path / "way-in" / "instruct") == (allowed / "instruct").resolve()


def test_a_refusal_is_the_same_whether_the_file_is_there_or_not(allowed, tmp_path):
    there, not_there = tmp_path / "secret" / "task.jsonl", tmp_path / "secret" / "none.jsonl"
    words = []
    for path in (there, not_there):
        with pytest.raises(AccessError) as refused:
            guard(allowed).path(path)
        words.append(str(refused.value).replace(path.name, ""))
    assert words[0] == words[1] and str(allowed) not in words[0]


def test_a_parent_is_judged_with_all_that_it_links_to(allowed, tmp_path):
    spec = f"{allowed / 'instruct'}|{allowed / 'thinking'}"
    assert guard(allowed).pair(spec).instruct == str(allowed / "instruct")
    (tmp_path / "secret" / "model.safetensors").write_bytes(b"secret")
    (allowed / "thinking" / "model.safetensors").symlink_to(tmp_path / "secret" / "model.safetensors")
    with pytest.raises(AccessError, match="part of a model"):
        guard(allowed).pair(spec)
    assert AccessPolicy().pair(spec).thinking.endswith("thinking")  # on one's own machine, one's own links


def test_the_hub_cache_may_be_linked_into(allowed, tmp_path, monkeypatch):
    from huggingface_hub import constants

    blobs = tmp_path / "cache" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / "x").write_bytes(b"")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    (allowed / "thinking" / "model.safetensors").symlink_to(blobs / "x")
    guard(allowed).pair(f"{allowed / 'instruct'}|{allowed / 'thinking'}")


@pytest.mark.parametrize("base", ["", "|/etc", "|../secret", "|~/models"])
def test_every_parent_of_a_pair_is_judged(allowed, base, monkeypatch):
    monkeypatch.chdir(allowed)
    spec = f"instruct|thinking{base}"  # a local folder of that name wins over a hub id
    if base:
        with pytest.raises(UserError):
            guard(allowed, hub=True).pair(spec)
        with pytest.raises(UserError):
            guard(allowed, hub=True).pair(f"{base[1:]}|thinking")
    else:
        assert guard(allowed).pair(spec).thinking == "thinking"


def test_hub_ids_only_where_the_hub_is_allowed(allowed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AccessError, match="nothing from the hub"):
        guard(allowed).pair("owner/one|owner/two")
    assert guard(allowed, hub=True).pair("owner/one|owner/two").instruct == "owner/one"
    (tmp_path / "owner" / "one").mkdir(parents=True)  # now it is a folder, and folders are judged as such
    with pytest.raises(AccessError, match="outside the folders"):
        guard(allowed, hub=True).pair("owner/one|owner/two")


def test_policies_on_pairs():
    fixed, presets, some = (
        AccessPolicy("fixed", first_pair="mini"),
        AccessPolicy("presets", first_pair="mini"),
        AccessPolicy("qwen3-4b", first_pair="mini"),
    )
    assert fixed.offered() == () and fixed.pair("mini").name == "mini"
    assert [p.name for p in some.offered()] == ["qwen3-4b"] and some.policy == "presets" and len(presets.offered()) > 1
    assert AccessPolicy("presets", hub=False, first_pair="mini").offered() == ()
    for guarded, spec in ((fixed, "qwen3-4b"), (presets, "a/b|c/d"), (presets, f"{MINI}|{MINI}"), (presets, "qwen3-4b@base"),
                          (some, "qwen3-30b"), (AccessPolicy("presets", hub=False, first_pair="mini"), "qwen3-4b")):  # fmt: skip
        with pytest.raises(AccessError, match="does not open"):
            guarded.pair(spec)


@pytest.mark.parametrize("name", ["mini", "mini:search", "reasoning_gym"])
def test_tasks_that_ship_need_no_permission(allowed, name):
    assert guard(allowed).task(name) == name


@pytest.mark.parametrize("name", ["gsm8k", "ifeval", "aime25"])
def test_tasks_of_the_hub_need_the_hub(allowed, name):
    assert guard(allowed, hub=True).task(name) == name
    with pytest.raises(AccessError, match="hub"):
        guard(allowed).task(name)


@pytest.mark.parametrize(
    "name",
    ["gsm8k@/etc/passwd", "gsm8k@../secret/task.jsonl", "mini@/etc", "/etc/x", "a/../../b", "..\\x", "x.CSV", "gsm8k@"],
)
def test_task_files_are_judged_as_paths(allowed, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AccessError):
        guard(allowed, hub=True).task(name)
    file = allowed / "mine.jsonl"
    assert guard(allowed).task(f"gsm8k@{file}") == f"gsm8k@{file.resolve()}"


def test_the_operators_own_task_is_allowed_by_its_name_alone(allowed, tmp_path):
    own = str(tmp_path / "secret" / "task.jsonl")
    assert guard(allowed, first_task=own).task(own) == own
    with pytest.raises(AccessError):
        guard(allowed, first_task=own).task(str(tmp_path / "secret" / "other.jsonl"))


def test_assets_may_be_read_and_not_written(allowed):
    assert guard(allowed).path(ASSETS / "tasks" / "mini.jsonl").is_file()
    with pytest.raises(AccessError):
        guard(allowed).target(ASSETS / "tasks")
    with pytest.raises(AccessError):
        guard(allowed).path(ASSETS / ".." / "README.md")


def test_no_folders_is_none_and_anywhere_is_anywhere(tmp_path):
    with pytest.raises(AccessError, match="allows no folders"):
        AccessPolicy(folders=()).path(tmp_path)
    assert AccessPolicy().path(tmp_path) == Path(tmp_path).resolve()
