"""Whatever stands in a flag or a variable of the page: settings come out, or one sentence; never anything else."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_explorer.errors import UserError
from mi_explorer.ui.access.setting_checks import MAX_AUTH_FILE, SettingsError
from mi_explorer.ui.access.settings import OPTIONS, Settings, read_page_settings

ODD = ["", " ", "-1", "0", "1e400", "nan", "9" * 5000, "\x00", "\ud800", "\u202e", "../..", "/dev/zero", "/", "a" * 300,
       "yes,no", "*", "::1", "http://[", "[]", "{}", "true", "a:b,a:b", ":", "x\ny:z", "%s", "$(x)"]  # fmt: skip
values = st.sampled_from(ODD) | st.text(max_size=40)


def outcome(arguments: list[str], environment: dict[str, str]) -> None:
    try:
        assert isinstance(read_page_settings(arguments, environment), Settings)
    except UserError as error:
        assert 0 < len(str(error)) < 1000
    except SystemExit as end:  # argparse: a flag that it cannot take
        assert end.code == 2


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([o.variable for o in OPTIONS]), values, min_size=1, max_size=4))
def test_any_variable(environment):
    outcome([], environment)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([o.flag for o in OPTIONS]), values), min_size=1, max_size=4))
def test_any_flag(given_flags):
    outcome([f"{flag}={value}" for flag, value in given_flags], {})


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["fifo", "device", "large", "bytes", "folder", "missing", "loop"])
def test_odd_files_of_users(tmp_path, kind):
    file: Path = tmp_path / "users"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "device":
        file = Path("/dev/zero")
    elif kind == "large":
        file.write_bytes(b"a:b\n" * (MAX_AUTH_FILE // 4 + 1))
    elif kind == "bytes":
        file.write_bytes(b"\xff\xfe:\x00")
    elif kind == "folder":
        file.mkdir()
    elif kind == "loop":
        file.symlink_to(file)
    with pytest.raises(SettingsError):
        read_page_settings(["--auth", str(file)], {})
