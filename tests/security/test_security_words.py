"""Words that no command can mean: whatever is typed, or stands in a variable, ends in a sentence and an exit code."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mi_explorer import errors
from mi_explorer.cli import main as cli
from mi_explorer.studies.report.svg_curves import scale_of, ticks_of

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
LONG = "a" * 300
ODD = (
    "", " ", "--", "-", "x", "nan", "inf", "1e400", "9" * 5000, "-1", "٣", "\udcff", "a\0b", "\u202e", LONG, f"{LONG}/{LONG}", "../..",
    "/dev/null", "/dev/zero", "/proc/self/mem", "|", "a|b|c|d", "mini@base", "a=b", "=", "density=nan", "density=1e400", ",", "0:1:0",
)  # fmt: skip
WORDS = st.text(max_size=12) | st.sampled_from(ODD)
OPTIONS = (
    "--pair", "--lambda", "--method", "--param", "--layers", "--modules", "--template", "--think-open", "--adapter-on", "--recipe", "--out",
)  # fmt: skip


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Run a command here: (exit code, what it said)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MI_EXPLORER_HOME", str(tmp_path / "home"))

    def call(*words):
        try:
            code = cli.main(words)
        except SystemExit as end:  # --help
            code = end.code
        heard = "".join(capsys.readouterr())
        assert code in (0, 1, 2) and (code == 0 or heard.strip())
        assert "fault of the program" not in heard and "Traceback" not in heard, (words, heard)
        return code, heard

    return call


@FUZZ
@given(option=st.sampled_from(OPTIONS), word=WORDS, form=st.sampled_from(["yaml", "json", "url", "command"]))
def test_every_word_of_an_option(run, option, word, form):
    run("export", "--show", form, f"{option}={word}")


@pytest.mark.parametrize("word", ODD)
def test_words_that_name_places(run, word):
    for words in (
        ("study", "import", "--", word), ("study", "merge", "m", word), ("study", "show", word), ("study", "list", f"--home={word}"),
        ("preflight", "--", word), ("preflight", "mini", f"--base={word}"), ("preflight", f"{word}|{word}"),
        ("export", f"--out={word}/{LONG}", "--pair=mini"),
    ):  # fmt: skip
        if word not in ("--", "-"):
            assert (
                run(*words)[0]
                or words[:2] == ("study", "list")
                or (words[0] == "preflight" and word in ("", "mini@base"))
            ), words


def test_two_dashes_are_no_value(run):
    for words in (("export", "--modules=--"), ("study", "export", "--", "s", "--")):
        assert run(*words)[0] == 2


def test_bytes_that_are_no_text(run):
    code, heard = run("run", "2+3", "--think-open", "\udcff")
    assert code == 2 and "UTF-8" in heard


def raising(error):
    def add(commands):
        commands.add_parser("fail").set_defaults(handler=lambda args: (_ for _ in ()).throw(error))

    return add


@pytest.mark.parametrize(
    "error, code, word",
    [
        (errors.UserError("so and so"), 2, "so and so"),
        (OSError(28, "No space left on device", "/tmp/x"), 1, "No space left"),
        (MemoryError(), 1, "memory"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), 1, "surrogate"),
        (TypeError("ours"), 1, "fault of the program"),
    ],
)
def test_every_error_is_a_sentence(monkeypatch, capsys, error, code, word):
    monkeypatch.setattr(cli, "COMMANDS", (raising(error),))
    assert cli.main(["fail"]) == code
    heard = capsys.readouterr().err
    assert word in heard and "Traceback" not in heard
    monkeypatch.setenv(errors.TRACEBACK, "1")
    with pytest.raises(type(error)):
        cli.main(["fail"])


@FUZZ
@given(low=st.floats(-1e6, 1e6), more=st.floats(0, 1e6), most=st.integers(1, 12))
def test_an_axis_has_a_length_whatever_is_drawn(low, more, most):
    ticks = ticks_of(low, low + more, most)
    assert (
        len(ticks) > 1
        and ticks[0] <= low + 1e-6 * (1 + abs(low) + more)
        and scale_of(ticks[0], ticks[-1], 0, 1)(ticks[0]) == 0
    )
