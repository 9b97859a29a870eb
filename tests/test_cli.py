"""The `pie` command as a user types it: serve, run, submit, list, attach, abort, ping, build."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import PIE, Server
from tests.wire import Peer


def pie(
    *arguments: str, home: Path | None = None, timeout: float = 170, **options: object
) -> subprocess.CompletedProcess[str]:
    """Runs `pie` with a PIE_HOME."""
    env = dict(os.environ)
    if home is not None:
        env["PIE_HOME"] = str(home)
    return subprocess.run([str(PIE), *arguments], env=env, text=True, check=False,
                          capture_output=True, timeout=timeout, **options)  # type: ignore  # fmt: skip


def test_help_has_examples_and_version_is_printed() -> None:
    for command in ("", "serve", "run", "submit", "list", "attach", "abort", "ping", "build", "new", "upload",
                    "precompile", "logs", "auth", "auth add", "auth remove", "auth list", "config",
                    "config init", "config show", "config get", "config set"):  # fmt: skip
        done = pie(*command.split(), "--help")
        assert done.returncode == 0, command
        assert re.search(rf"Examples?:\n  pie {command}", done.stdout), command
    assert "xample" in pie("--help").stdout
    assert re.search(r"\d+\.\d+\.\d+", pie("--version").stdout)


def test_run_streams_the_answer_from_a_fresh_home(tmp_path: Path) -> None:
    done = pie("run", "text-completion", "--", "--prompt",
               "What is the capital of France? Answer in one sentence.", "--temperature", "0",
               home=tmp_path / "fresh")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Paris" in done.stdout
    assert "\x1b[" not in done.stdout + done.stderr  # colours only on a terminal


def test_the_format_of_kv_pages_is_chosen_and_what_is_not_served_says_so(tmp_path: Path) -> None:
    question = ("--", "--prompt", "What is the capital of France?", "--temperature", "0", "--max-tokens", "8")
    for kv_format in ("bf16", "q8"):
        done = pie("run", "text-completion", "--kv-format", kv_format, *question, home=tmp_path)
        assert (done.returncode, "Paris" in done.stdout) == (0, True), (kv_format, done)
    wrong = pie("run", "text-completion", "--kv-format", "q4", *question, home=tmp_path)
    assert wrong.returncode == 1
    assert "[kv_format] got 'q4', expected f16, bf16 or q8" in wrong.stderr
    (tmp_path / "config.toml").write_text('executor = "ggml"\nkv_format = "q8"\n')
    other = pie("run", "text-completion", *question, home=tmp_path)
    assert other.returncode == 1
    assert "got K/V pages of q8, expected f16: leave kv_format at f16" in other.stderr


def test_run_of_a_failing_program_exits_non_zero(tmp_path: Path, programs: Path) -> None:
    done = pie("run", str(programs / "trap.wasm"), home=tmp_path / "fresh")
    assert done.returncode != 0 and "unreachable" in done.stderr
    done = pie("run", "no-such-program", home=tmp_path / "fresh")
    assert done.returncode != 0 and "not found" in done.stderr.lower()


def test_run_beside_a_running_server_of_the_same_home_uses_that_server(
    own_server: Server,
) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            str(PIE), "run", "long-running-task", "--", "--seconds", "30", "--every", "0.05",
            env=dict(os.environ, PIE_HOME=str(own_server.home)),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 60)
        token = next(p for p in own_server.home.rglob("*token*") if p.is_file()).read_text().strip()
        async with Peer(own_server.url, username=None) as peer:
            assert (await peer.call("internal_authenticate", token=token))["successful"]
            rows = (await peer.call("list_instances"))["instances"]
            assert len(rows) == 1
            await peer.call("terminate_instance", instance_id=rows[0]["id"])
        assert await asyncio.wait_for(process.wait(), 60) != 0

    asyncio.run(main())


def test_submit_list_attach_abort_ping(own_server: Server) -> None:
    home = own_server.home
    assert pie("ping", home=home).returncode == 0
    done = pie("submit", "hello", home=home)
    assert done.returncode == 0 and done.stdout.strip()
    done = pie("submit", "-d", "long-running-task", "--", "--seconds", "60", home=home)
    assert done.returncode == 0, done.stderr
    rows = json.loads(pie("list", "--json", home=home).stdout)
    assert len(rows) == 1 and rows[0]["status"] == "Detached"
    assert rows[0]["id"][:6] in pie("list", home=home).stdout
    done = pie("abort", rows[0]["id"][:8], home=home)
    assert done.returncode == 0, done.stderr
    done = pie("submit", "-d", "long-running-task", "--", "--seconds", "0.3", home=home)
    rows = json.loads(pie("list", "--json", home=home).stdout)
    done = pie("attach", rows[0]["id"][:8], home=home)
    assert done.stdout.strip(), done.stderr


def test_client_commands_say_when_no_server_answers(tmp_path: Path) -> None:
    done = pie("ping", "--server", "ws://127.0.0.1:1", home=tmp_path)
    assert done.returncode != 0 and "127.0.0.1:1" in done.stderr


def test_exit_codes_are_those_of_the_table(tmp_path: Path) -> None:
    for wrong in (["nonsense"], [], ["attach"], ["submit"], ["submit", "-m", "x.toml"],
                  ["list", "--nonsense"], ["list", "--long", "--json"], ["serve", "--port", "many"],
                  ["config"]):  # fmt: skip
        done = pie(*wrong, home=tmp_path)
        assert done.returncode == 2 and done.stderr, wrong
    assert pie("ping", "--server", "ws://127.0.0.1:1", home=tmp_path).returncode == 1
    (tmp_path / "config.toml").write_text("prot = 1\n")
    assert pie("ping", home=tmp_path).returncode == 1
    assert "Exit codes" in pie("--help").stdout


def test_a_prefix_that_fits_several_lists_them(own_server: Server) -> None:
    async def launch() -> list[str]:
        async with Peer(own_server.url, username="ann") as peer:
            return [await peer.launch("hello", detached=True) for _ in range(17)]

    ids = asyncio.run(launch())  # more than there are first digits
    first = next(digit for digit in "0123456789abcdef" if sum(id[0] == digit for id in ids) > 1)
    alike = [id for id in ids if id[0] == first]
    for command in ("attach", "abort", "logs"):
        done = pie(command, first, "--user", "ann", home=own_server.home)
        assert done.returncode == 1 and f"{len(alike)} instances begin with" in done.stderr
        assert all(id in done.stderr for id in alike)
    assert pie("abort", alike[0], "--user", "ann", home=own_server.home).stdout.strip() == alike[0]
    shown = pie("list", "--user", "ann", home=own_server.home).stdout.splitlines()[1:]
    assert len({line.split()[0] for line in shown}) == 16


def test_answers_as_json_for_scripts(own_server: Server, programs: Path) -> None:
    home = own_server.home
    pong = json.loads(pie("ping", "--json", home=home).stdout)
    assert pong["server"] == own_server.url and pong["milliseconds"] > 0
    id = json.loads(pie("submit", "-d", "--json", "hello", home=home).stdout)["id"]
    assert json.loads(pie("list", "--json", home=home).stdout)[0]["id"] == id
    assert id in pie("list", "--long", home=home).stdout
    hash = json.loads(pie("upload", "--json", str(programs / "hello.wasm"), home=home).stdout)["hash"]
    assert re.fullmatch(r"[0-9a-f]{64}", hash)


def test_server_user_and_key_are_remembered(tmp_path: Path) -> None:
    key, here = tmp_path / "key", tmp_path / "here"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    server = Server(tmp_path / "home", "--auth")
    assert pie("auth", "add", "ann", "--file", f"{key}.pub", home=server.home).returncode == 0
    server.start()
    try:
        given = ["--server", server.url, "--user", "ann", "--key", "key"]
        assert pie("ping", *given, home=here, cwd=tmp_path).returncode == 0
        assert not (here / "config.toml").exists()  # only when asked to
        assert pie("ping", *given[:-1], "missing", "--save", home=here, cwd=tmp_path).returncode == 1
        assert not (here / "config.toml").exists()  # nor what did not work
        assert pie("ping", *given, "--save", home=here, cwd=tmp_path).returncode == 0
        shown = json.loads(pie("config", "show", "--json", home=here).stdout)
        assert [shown[f"client.{name}"]["value"] for name in ("server", "user", "key")] == [
            server.url, "ann", str(key)]  # fmt: skip
        assert pie("ping", home=here).returncode == 0
        # Flags win over the environment, that over the file.
        env = dict(os.environ, PIE_HOME=str(here), PIE_CLIENT_SERVER="ws://127.0.0.1:1")
        for arguments, code in (([], 1), (["--server", server.url], 0)):
            done = subprocess.run([str(PIE), "ping", *arguments], env=env, check=False, capture_output=True)
            assert done.returncode == code, done.stderr
    finally:
        server.stop()


def test_serve_refuses_what_it_cannot_do_with_a_reason(tmp_path: Path, own_server: Server) -> None:
    done = pie("serve", "--port", "0", home=own_server.home)
    assert done.returncode != 0 and str(own_server.home) in done.stderr  # one server per PIE_HOME
    done = pie("serve", "--host", "0.0.0.0", "--port", "0", home=tmp_path / "a")
    assert done.returncode != 0 and "auth" in done.stderr
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\xff" * 100)
    done = pie("serve", "--port", "0", "--model", str(bad), home=tmp_path / "b")
    assert done.returncode != 0 and "bad.gguf" in done.stderr


def test_sigterm_ends_it_cleanly_and_a_restart_takes_less_than_a_second_or_so(
    own_server: Server,
) -> None:
    assert own_server.stop() == 0
    started = time.monotonic()
    own_server.start()
    assert time.monotonic() - started < 30.0  # a second on an idle machine


MY_INFERLET = Path(__file__).resolve().parent / "programs" / "my_inferlet.cpp"


def test_build_compiles_a_program_with_one_command_and_it_runs(tmp_path: Path) -> None:
    source = tmp_path / "my_inferlet.cpp"
    source.write_text(MY_INFERLET.read_text())
    done = pie("build", "my_inferlet.cpp", home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = pie("run", str(tmp_path / "my_inferlet.wasm"), "--", "world", home=tmp_path / "home")
    assert done.returncode == 0 and "world" in done.stdout, done


def test_a_new_project_builds_runs_and_tests_itself(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "my-agent"
    assert pie("new", "my-agent", cwd=tmp_path).returncode == 0
    files = {"README.md", "answer.cpp", "answer.h", "main.cpp", "my-agent.toml", "test.cpp", ".gitignore"}
    assert {path.name for path in folder.iterdir()} == files
    commands = re.findall(r"^pie .*$", (folder / "README.md").read_text(), re.M)
    assert len(commands) == 4, commands
    outputs = []
    for command in commands:
        done = pie(*shlex.split(command)[1:], home=home, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), (command, done)
        outputs.append(done.stdout)
    assert "Paris" in outputs[1] and "passed" in outputs[3]
    # The test can fail.
    answer = folder / "answer.cpp"
    text = answer.read_text().replace("Answer in one sentence.", "Say only: banana.")
    answer.write_text(text.replace("fill_user(std::move(question))", 'fill_user("Say banana.")'))
    assert pie(*shlex.split(commands[2])[1:], home=home, cwd=folder).returncode == 0
    done = pie(*shlex.split(commands[3])[1:], home=home, cwd=folder)
    assert done.returncode == 1 and "expected the word Paris" in done.stderr


def test_a_new_python_project_runs_and_tests_itself(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "my-agent"
    assert pie("new", "my-agent", "--lang", "python", cwd=tmp_path).returncode == 0
    files = {"README.md", "__main__.py", "agent.py", "test_agent.py", ".gitignore"}
    assert {path.name for path in folder.iterdir()} == files
    commands = re.findall(r"^pie .*$", (folder / "README.md").read_text(), re.M)
    outputs = []
    for command in commands:
        done = pie(*shlex.split(command)[1:], home=home, cwd=folder)
        assert (done.returncode, done.stderr) == (0, ""), (command, done)
        outputs.append(done.stdout)
    assert "Paris" in outputs[0] and "passed" in outputs[1]
    # The test can fail.
    agent = folder / "agent.py"
    agent.write_text(agent.read_text().replace("chat.ask(question,", "chat.ask('Say banana.',"))
    done = pie(*shlex.split(commands[1])[1:], home=home, cwd=folder)
    assert done.returncode == 1 and "expected the word Paris" in done.stderr


def test_new_refuses_what_is_there_and_what_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, why in (("there", "is there already"), ("A b", "got the name 'A b'"), ("..", "got the name")):
        done = pie("new", name, cwd=tmp_path)
        assert done.returncode == 1 and why in done.stderr, done
    done = pie("new", "other", "--lang", "cobol", cwd=tmp_path)
    assert done.returncode == 1 and "expected cpp or python" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_build_shows_the_compilers_errors(tmp_path: Path) -> None:
    (tmp_path / "bad.cpp").write_text("int main( {\n")
    done = pie("build", "bad.cpp", home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode != 0 and "bad.cpp:1" in done.stderr


@pytest.mark.parametrize("name", ["my_inferlet.txt", "missing.cpp"])
def test_build_of_what_is_no_source_says_so(tmp_path: Path, name: str) -> None:
    done = pie("build", name, home=tmp_path / "home", cwd=tmp_path)
    assert done.returncode != 0 and name in done.stderr


def test_logs_shows_the_end_without_consuming_it_and_upload_prints_the_hash(
    own_server: Server, programs: Path, tmp_path: Path
) -> None:
    home = own_server.home
    manifest = tmp_path / "hello.toml"
    manifest.write_text('[package]\nname = "me/greeter"\nversion = "1.0.0"\n')
    hash = pie("upload", str(programs / "hello.wasm"), str(manifest), home=home).stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{64}", hash)
    id = pie("submit", "-d", "me/greeter", home=home).stdout.strip()
    deadline = time.monotonic() + 60
    while json.loads(pie("list", "--json", home=home).stdout)[0]["status"] != "Finished":
        assert time.monotonic() < deadline
    first = pie("logs", id[:8], home=home)
    assert first.returncode == 0
    assert first.stdout.splitlines()[-1].startswith("Completed")
    events = json.loads(pie("logs", id, "--json", home=home).stdout)
    assert events[-1]["event"] == "Completed" and events[0]["event"] == "Stdout"
    short = json.loads(pie("logs", id, "--json", "-n", "1", home=home).stdout)
    assert short == events[-1:]
    assert pie("logs", id, "--user", "somebody-else", home=home).returncode == 1
    attached = pie("attach", id, home=home)
    assert attached.returncode == 0 and events[0]["text"] in attached.stdout
    assert pie("logs", id, home=home).returncode == 1
