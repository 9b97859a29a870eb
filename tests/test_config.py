"""PIE_HOME/config.toml: what wins, what is refused with line and nearest name, `pie config`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PIE, Server


def config(home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `pie config`."""
    env = dict(os.environ, PIE_HOME=str(home), **variables)
    return subprocess.run([str(PIE), "config", *arguments], env=env, text=True, check=False,
                          capture_output=True, timeout=60)  # fmt: skip


def test_init_writes_every_setting_as_a_comment_and_never_over_a_file(tmp_path: Path) -> None:
    assert config(tmp_path, "init").returncode == 0
    text = (tmp_path / "config.toml").read_text()
    shown = json.loads(config(tmp_path, "show", "--json").stdout)
    assert all(f"# {key.split('.')[-1]} = " in text for key in shown)
    assert all(row["origin"] == "default" for row in shown.values())
    assert config(tmp_path, "init").returncode == 1
    assert (tmp_path / "config.toml").read_text() == text


def test_set_changes_one_line_and_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("# mine\nport = 1 # old\n\n[limits]\n# bytes\nhandles_max = 5\n")
    assert config(tmp_path, "set", "port", "9000").returncode == 0
    assert config(tmp_path, "set", "limits.grace_s", "7").returncode == 0
    assert config(tmp_path, "set", "host", "::1").returncode == 0
    assert file.read_text() == (
        '# mine\nport = 9000 # old\nhost = "::1"\n\n[limits]\n# bytes\nhandles_max = 5\ngrace_s = 7\n'
    )
    assert config(tmp_path, "get", "limits.grace_s").stdout == "7\n"
    assert config(tmp_path, "set", "http_allow", "a.example, 127.0.0.1:9").returncode == 0
    assert 'http_allow = ["a.example", "127.0.0.1:9"]\n' in file.read_text()
    assert config(tmp_path, "get", "http_allow").stdout == "a.example,127.0.0.1:9\n"
    before = file.read_text()
    for key, value, part in (
        ("port", "70000", "a number from 0 to 65535"),
        ("auth", "maybe", "true or false"),
        ("limits.handels_max", "1", "the nearest is 'limits.handles_max'"),
        ("model_threads", "2000", "a number from 0 to 1024"),
        ("limits.frame_bytes_max", "1000", "a number from 524288"),
        ("limits.grace_s", "100000000000", "to 1000000000"),
    ):
        done = config(tmp_path, "set", key, value)
        assert done.returncode == 1 and part in done.stderr
    assert file.read_text() == before


def test_set_takes_any_text_and_leaves_what_it_cannot_edit(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    odd = 'two\nlines and "quotes" # no comment'
    assert config(tmp_path, "set", "model", odd).returncode == 0
    assert config(tmp_path, "get", "model").stdout == odd + "\n"
    assert config(tmp_path, "set", "model", "plain").returncode == 0
    assert file.read_text() == 'model = "plain"\n'
    file.write_text("limits.grace_s = 1\n")
    done = config(tmp_path, "set", "limits.handles_max", "5")
    assert done.returncode == 1 and "by hand" in done.stderr
    assert file.read_text() == "limits.grace_s = 1\n"


def test_the_defaults_are_those_of_the_protocol(tmp_path: Path) -> None:
    shown = json.loads(config(tmp_path, "show", "--json").stdout)
    limits = {key.removeprefix("limits."): row["value"] for key, row in shown.items()}
    assert (limits["host"], limits["auth"]) == ("127.0.0.1", False)  # section 5
    assert limits["ping_interval_s"] == 20  # section 1
    assert (limits["grace_s"], limits["finished_kept_s"]) == (10 * 60, 24 * 3600)  # section 7
    assert (limits["log_bytes_max"], limits["blob_bytes_max"]) == (64 << 20, 1 << 30)  # and section 10


def test_flags_win_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIE_PORT", "1")  # not for us to take
    server = Server(tmp_path / "home").start()
    assert server.url.endswith(f":{server.port}")
    assert server.stop() == 0


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("port = 1\n[limits]\ngrace_s = 1\n")
    shown = json.loads(config(tmp_path, "show", "--json", PIE_PORT="2").stdout)
    assert shown["port"] == {"value": 2, "origin": "PIE_PORT"}
    assert shown["limits.grace_s"]["value"] == 1
    done = config(tmp_path, "show", PIE_LIMITS_GRACE_S="soon")
    assert done.returncode == 1 and "PIE_LIMITS_GRACE_S" in done.stderr


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("port = 1\nprot = 2\n", ["line 2", "'prot'", "nearest is 'port'"]),
        ("[limits]\n\nhandel_max = 2\n", ["line 3", "[limits]", "nearest is 'handles_max'"]),
        ("[limit]\nhandles_max = 2\n", ["line 1", "'limit'", "nearest is 'limits'"]),
        ("port = 'x'\n", ["line 1", "'port'", "a number from 0 to 65535"]),
        ("\nport = 65536\n", ["line 2", "65536", "65535"]),
        ("host = 3\n", ["line 1", "text"]),
        ("auth = 1\n", ["line 1", "true or false"]),
        ("port = \n", ["line 1"]),
        ('http_allow = "a.example"\n', ["line 1", "'http_allow'", "a list of texts"]),
        ('http_allow = ["a.example", 1]\n', ["line 1", "a list of texts"]),
    ],
)
def test_a_wrong_file_is_refused_with_line_and_expectation(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    (tmp_path / "config.toml").write_text(text)
    for command in (["serve", "--port", "0"], ["config", "show"]):
        done = subprocess.run([str(PIE), *command], env=dict(os.environ, PIE_HOME=str(tmp_path)),
                              text=True, check=False, capture_output=True, timeout=60)  # fmt: skip
        assert done.returncode != 0 and all(part in done.stderr for part in parts), done.stderr
