"""Summaries that are kept beside study files: equal to what the studies give, and used for these very files only."""

import json
from dataclasses import replace

import pytest

from mi_explorer.errors import UserError
from mi_explorer.studies.stats import kept_summary as kept
from mi_explorer.studies.stats.summary import summarise
from mi_explorer.studies.store import bundled
from mi_explorer.studies.store.exchange import export_study
from mi_explorer.studies.store.store import Store
from mi_explorer.ui import study_library
from mi_explorer.ui.study_library import StudyLibrary
from tests.studies.filled_store import filled


@pytest.mark.parametrize("study", bundled.precomputed(), ids=lambda path: path.stem)
def test_every_precomputed_study_has_the_summary_that_its_samples_give(study):
    with Store(study, readonly=True) as store:
        (info,) = store.studies()
        made = summarise(store, info.name)
    found = kept.kept_summary(info.name)
    assert found is not None, "python -m mi_explorer.studies.stats.kept_summary"
    plain = json.loads(json.dumps(kept.summary_to_json(made, "")))
    back = kept.summary_of_json(plain, made.info, made.rows)
    assert made.cells and repr(back) == repr(replace(made, measures=None))  # NaN is NaN
    assert found.info.samples == info.samples and found.settings == made.settings
    for name in plain.keys() - {"study"}:  # machines differ in the last digits
        assert near(kept.summary_to_json(found, "")[name]) == near(plain[name]), name


def near(value):
    """JSON values with numbers to nine digits."""
    if isinstance(value, dict):
        return {key: near(x) for key, x in value.items()}
    if isinstance(value, list | tuple):
        return [near(x) for x in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


@pytest.fixture
def folder(tmp_path):
    """A folder of precomputed studies with one of its own and its summary."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    with filled(tmp_path / "theirs.db") as store:
        export_study(store, "s", folder / "s.parquet")
    assert kept.keep_summary(folder / "s.parquet") == folder / "s.summary.json"
    return folder


def test_what_is_kept_is_of_this_very_file(tmp_path, folder):
    assert kept.kept_summary("s", folder).cells[1]["questions"] == 4
    assert kept.kept_summary("t", folder) is None
    with filled(tmp_path / "other.db", samples=1) as store:
        export_study(store, "s", folder / "s.parquet", overwrite=True)
    assert kept.kept_summary("s", folder) is None, "another study of that name"
    kept.keep_summary(folder / "s.parquet")
    assert kept.kept_summary("s", folder).cells[1]["samples"] == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "study": 3}', "\0", '{"format": 9}'])
def test_a_damaged_summary_is_none(folder, text):
    (folder / "s.summary.json").write_text(text)
    assert kept.kept_summary("s", folder) is None


def test_the_page_reads_what_is_kept_and_the_samples_where_nothing_is(tmp_path, folder, monkeypatch):
    own = Store(tmp_path / "home.db")
    library = StudyLibrary(lambda: own, folder)
    read = []
    monkeypatch.setattr(study_library, "summarise", lambda *a, of=summarise: (read.append(a[1]), of(*a))[1])
    assert library.summary("s").cells[0]["lambda"] == 0 and read == []
    (folder / "s.summary.json").unlink()
    assert library.summary("s").measures is not None and read == ["s"]
    with pytest.raises(UserError):
        library.summary("nothing")


def test_a_study_of_ones_own_hides_what_is_kept(tmp_path, folder):
    with filled(tmp_path / "home.db", lams=(0, 1)) as own:
        assert len(StudyLibrary(lambda: own, folder).summary("s").cells) == 2
