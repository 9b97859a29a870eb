"""Programs in Python: ZIPs of files that run in the server's Python runtime, and the SDK that they import."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from pie import PieClient, ProgramError
from pie.archive import archive_of, make_archive

from tests.conftest import BUILD, PIE, ROOT, Server
from tests.wire import Peer, blake3_hex
from tools import deps

COMPLETED, EXCEPTION = 1, 3
SUITE = ROOT / "tests" / "python_programs" / "suite.py"
EXAMPLES = ROOT / "inferlets" / "python"


@dataclass
class Outcome:
    """What a program said, and how it ended."""

    event: int
    message: str
    out: str
    err: str
    writes: int
    """How many events its standard output was."""


def zipped(files: dict[str, str | bytes]) -> bytes:
    """A ZIP by Python's own library."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


async def run_with(peer: Peer, program: bytes, *args: str) -> Outcome:
    """Uploads and runs a program to its end."""
    answer = await peer.upload(program)
    assert answer["successful"], answer
    instance = await peer.launch(blake3_hex(program), list(args))
    end = await peer.final(instance)
    writes = sum(
        1
        for frame in peer.frames
        if frame["type"] == "streaming_output"
        and frame["instance_id"] == instance
        and "Stdout" in frame["output"]
    )
    out, err = peer.output(instance), peer.output(instance, "Stderr")
    return Outcome(int(end["event"]), str(end["message"]), out, err, writes)


def run(server: Server, files: str | dict[str, str | bytes], *args: str) -> Outcome:
    """Runs a program of these files (one text: of a file `agent.py`)."""

    async def main() -> Outcome:
        async with Peer(server.url) as peer:
            return await run_with(
                peer, zipped({"agent.py": files} if isinstance(files, str) else files), *args
            )

    return asyncio.run(main())


@pytest.mark.parametrize(("code", "expected"), [
    ("def main(args):\n    return ' '.join(args)", "a b"),
    ("async def main(args):\n    return {'args': args}", '{"args": ["a", "b"]}'),
    ("def main(*args):\n    return len(args)", "2"),
    ("async def main():\n    return 'ü'", "ü"),
    ("def main():\n    return None", ""),
    ("import sys\nimport inferlet\ninferlet.set_return(sys.argv)", '["agent.py", "a", "b"]'),
    ("import asyncio, inferlet\nawait asyncio.sleep(0)\ninferlet.set_return('top')\n"
     "def main():\n    return 'not called'", "top"),
    ("import inferlet\ndef main():\n    inferlet.set_return('once')\n    return 'twice'\n"
     "if __name__ == '__main__':\n    main()", "once"),
    ("import asyncio, inferlet\nasync def main():\n    inferlet.set_return('by run')\n"
     "asyncio.run(main())", "by run"),
])  # fmt: skip
def test_what_a_program_returns_is_its_value(server: Server, code: str, expected: str) -> None:
    outcome = run(server, code, "a", "b")
    assert (outcome.event, outcome.message) == (COMPLETED, expected), outcome.err


def test_a_traceback_has_the_programs_own_files_and_lines(server: Server) -> None:
    outcome = run(
        server,
        {
            "__main__.py": "import helper\n\n\nasync def main():\n    await helper.work()\n",
            "helper/__init__.py": "async def work():\n    from .deep import fail\n\n    fail()\n",
            "helper/deep.py": "def fail():\n    raise ValueError('too deep')  # here\n",
        },
    )
    assert (outcome.event, outcome.message) == (EXCEPTION, "Runtime error: ValueError: too deep")
    assert outcome.err == (
        "Traceback (most recent call last):\n"
        '  File "__main__.py", line 5, in main\n    await helper.work()\n'
        '  File "helper/__init__.py", line 4, in work\n    fail()\n    ~~~~^^\n'
        "  File \"helper/deep.py\", line 2, in fail\n    raise ValueError('too deep')  # here\n"
        "    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "ValueError: too deep\n"
    )


def test_an_error_of_the_host_is_an_exception_with_a_traceback(server: Server) -> None:
    caught = "try:\n    Grammar.regex('(')\nexcept RuntimeError:\n    print('caught')\n"
    outcome = run(server, "from inferlet import Grammar\n" + caught + "Grammar.json_schema({'not': {}})\n")
    assert outcome.event == EXCEPTION and outcome.out == "caught\n"
    assert outcome.message.startswith("Runtime error: inferlet._host.InferletError: ")
    assert 'File "agent.py", line 6' in outcome.err


@pytest.mark.parametrize(("code", "event", "message"), [
    ("import sys\nsys.exit()", COMPLETED, ""),
    ("import sys\nsys.exit(0)", COMPLETED, ""),
    ("import sys\nasync def main():\n    sys.exit(3)", EXCEPTION, "Runtime error: exit status 3"),
    ("raise SystemExit('so long')", EXCEPTION, "Runtime error: so long"),
    ("import asyncio\nasync def main():\n    asyncio.current_task().cancel()\n    await asyncio.sleep(1)",
     EXCEPTION, "Runtime error: asyncio.exceptions.CancelledError"),
    ("import asyncio\nawait asyncio.get_running_loop().create_future()", EXCEPTION,
     "Runtime error: RuntimeError: [asyncio] got a program in which every task waits for another one"),
    ("def main():\n    return {1, 2}", EXCEPTION, "Runtime error: TypeError: [main] got a value that JSON"),
    ("import threading\nthreading.Thread(target=print).start()", EXCEPTION,
     "Runtime error: RuntimeError: [threading]"),
    ("def f(:\n", EXCEPTION, 'Runtime error: File "agent.py", line 1'),
    ("def f(): f()\nf()", EXCEPTION, "Runtime error: RecursionError"),
])  # fmt: skip
def test_how_a_program_ends(server: Server, code: str, event: int, message: str) -> None:
    outcome = run(server, code)
    assert outcome.event == event, outcome
    assert outcome.message.startswith(message) and bool(message) == bool(outcome.message), outcome


def test_a_program_without_an_entry_says_what_is_expected(server: Server) -> None:
    for files in ({"a.py": "", "b.py": ""}, {"data.txt": "x"}):
        outcome = run(server, files)
        assert outcome.event == EXCEPTION and "expected __main__.py or one Python file" in outcome.message


def test_print_is_one_event_a_line_and_leaves_before_a_wait(server: Server) -> None:
    outcome = run(server, "for i in range(5):\n    print('a', i, 'b', sep=', ')\n")
    assert (outcome.out, outcome.writes) == ("".join(f"a, {i}, b\n" for i in range(5)), 5)
    outcome = run(server, "for i in range(100):\n    print('.', end='')\nprint()")
    assert (outcome.out, outcome.writes) == ("." * 100 + "\n", 1)
    outcome = run(server, "import time\nprint('half', end='')\ntime.sleep(0.001)\nprint(' whole', end='')")
    assert (outcome.out, outcome.writes) == ("half whole", 2)

    async def main() -> None:
        code = "import inferlet\nasync def main():\n    print('said', end='')\n"
        code += "    return await inferlet.receive()\n"
        async with Peer(server.url) as peer:
            program = zipped({"agent.py": code})
            await peer.upload(program)
            instance = await peer.launch(blake3_hex(program))
            await peer.wait_until(lambda: peer.output(instance) == "said")
            await peer.send("signal_instance", instance_id=instance, message="go")
            assert (await peer.final(instance))["message"] == "go"

    asyncio.run(main())


def test_modules_packages_and_wheels_are_imported_from_memory(server: Server) -> None:
    wheel = zipped({
        "toy/__init__.py": "VERSION = 1\ndef fail():\n    raise ValueError('from the wheel')\n",
        "toy/note.txt": "a note",
        "toy-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: toy\nVersion: 1.2\n",
    })  # fmt: skip
    main = """
import importlib.metadata, importlib.resources, toy, pkg.inner, space.deep, inferlet
from pkg import *
def main():
    note = importlib.resources.files("toy").joinpath("note.txt").read_text()
    print(toy.VERSION, importlib.metadata.version("toy"), note)
    print(pkg.inner.here, space.deep.there, inferlet.program_file("data/x.bin"), pkg.inner.__file__)
    toy.fail()
"""
    outcome = run(
        server,
        {
            "__main__.py": main,
            "pkg/__init__.py": "from . import inner\n",
            "pkg/inner.py": "here = 1\n",
            "space/deep.py": "there = 2\n",
            "data/x.bin": b"\0\1",
            "wheels/toy-1.2-py3-none-any.whl": wheel,
        },
    )
    assert outcome.out == "1 1.2 a note\n1 2 b'\\x00\\x01' pkg/inner.py\n"
    assert outcome.message == "Runtime error: ValueError: from the wheel"
    assert 'File "wheels/toy-1.2-py3-none-any.whl/toy/__init__.py", line 3, in fail' in outcome.err


def test_the_standard_library_is_there_as_far_as_it_can_be(server: Server) -> None:
    code = """
import importlib
for name in "argparse email.message html.parser http.client sqlite3 unittest urllib.request zoneinfo".split():
    importlib.import_module(name)
missing = []
for name in "ssl ctypes multiprocessing".split():
    try:
        importlib.import_module(name)
    except ImportError:
        missing.append(name)
print(missing)
import os, random, sqlite3
print(len({random.random(), random.random()}), dict(os.environ))
connection = sqlite3.connect(":memory:")
print(connection.execute("select 6 * 7").fetchone()[0])
"""
    outcome = run(server, code)
    assert outcome.out == "['ssl', 'ctypes', 'multiprocessing']\n2 {}\n42\n", outcome.err
    draws = {run(server, "import random\nprint(random.random())").out for _ in range(3)}
    assert len(draws) == 3, "each instance has a seed of its own"


def test_no_server_compiles_the_runtime_that_the_installation_has_compiled(server: Server) -> None:
    runtime = blake3_hex((BUILD / "share" / "pie" / "python-runtime.wasm").read_bytes())
    assert list((BUILD / "share" / "pie" / "compiled").glob(f"{runtime}-*.cwasm")), "tools/build makes it"
    assert run(server, "print('hello')").out == "hello\n"
    assert f"compiling the program {runtime}" not in server.log.read_text()


def test_no_instance_counts_references_to_what_the_snapshot_holds(server: Server) -> None:
    things = "asyncio, asyncio.run, []"
    code = f"import asyncio, sys\ndef main():\n    return [sys.getrefcount(one) for one in ({things})]"
    outcome = run(server, code)
    assert outcome.event == COMPLETED, outcome.err
    module, function, own = json.loads(outcome.message)
    assert module == function >= 1 << 30 and own < 10


def test_asyncio_runs_whole(server: Server) -> None:
    code = """
import asyncio
async def late(value, delay):
    await asyncio.sleep(delay)
    return value
async def main():
    said = []
    said.append(await asyncio.gather(late(1, 0.02), late(2, 0)))
    try:
        await asyncio.wait_for(late(3, 60), 0.01)
    except TimeoutError:
        said.append("wait_for")
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        said.append("timeout")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(late(value, 0)) for value in "ab"]
    said.append([task.result() for task in tasks])
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(late(1, 60))
            group.create_task(late(1, "wrong"))
    except* TypeError:
        said.append("group")
    queue = asyncio.Queue(1)
    async def produce():
        for value in range(3):
            await queue.put(value)
    producer = asyncio.create_task(produce())
    said.append([await queue.get() for _ in range(3)])
    said.append(await asyncio.to_thread(len, "four"))
    both = [asyncio.ensure_future(late(1, 0)), asyncio.ensure_future(late(2, 60))]
    done, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    said.append([len(done), len(pending)])
    return said
"""
    outcome = run(server, code)
    assert outcome.event == COMPLETED, outcome
    assert json.loads(outcome.message) == [
        [1, 2], "wait_for", "timeout", ["a", "b"], "group", [0, 1, 2], 4, [1, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "check", re.findall(r"^async def ((?!refuses|main|messages)\w+)\(\) ", SUITE.read_text(), re.M)
)
def test_the_sdk(server: Server, check: str) -> None:
    """tests/python_programs/suite.py says what each check shows; it fails with a traceback."""
    outcome = run(server, {"suite.py": SUITE.read_text()}, check)
    assert (outcome.event, outcome.message) == (COMPLETED, "passed"), outcome.err


def test_messages_blobs_topics_and_the_store(server: Server) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            program = zipped({"suite.py": SUITE.read_text()})
            await peer.upload(program)
            instance = await peer.launch(blake3_hex(program), ["messages_and_store"])
            await peer.message(instance, "ready")
            for text in ("one", "two"):
                await peer.send("signal_instance", instance_id=instance, message=text)
            await peer.wait_until(lambda: peer.output(instance) == "ask> ")
            assert (await peer.upload_blob(instance, b"bytes"))["successful"]
            end = await peer.final(instance)
            assert end["message"] == "passed", peer.output(instance, "Stderr")

    asyncio.run(main())


def test_an_answer_is_the_cpp_sdks_token_for_token(server: Server) -> None:
    code = """
from inferlet import Context, Sampler, Stop
async def main(args):
    context = Context()
    context.fill_system("You are a helpful assistant.")
    context.fill_user(args[0])
    stop = Stop.max_len(96) | Stop.end_of_turn(context.model)
    return await context.generate(Sampler.top_p(0.0, 0.95), stop)
"""

    async def main() -> None:
        async with Peer(server.url) as peer:
            for prompt in (
                "Write one sentence about the sea.",
                "Count from one to twenty.",
                "Was ist 'über'?",
            ):
                program = zipped({"agent.py": code})
                ours = await run_with(peer, program, prompt)
                instance = await peer.launch("text-completion", ["-p", prompt, "-n", "96", "-t", "0"])
                assert ours.message and ours.message == (await peer.final(instance))["message"]

    asyncio.run(main())


def test_the_examples_do_what_they_say(server: Server) -> None:
    best = run(server, (EXAMPLES / "best_of_n.py").read_text(), "-p", "Name a colour.", "-c", "4", "-n", "12")
    drawn = [json.loads(line) for line in best.out.splitlines()]
    assert best.event == COMPLETED and len(drawn) == 4, best.err
    assert best.message == max(drawn, key=lambda one: one["mean_log_probability"])["text"]
    agent = run(server, (EXAMPLES / "agent.py").read_text(), "How warm is it in Bern?")
    assert agent.event == COMPLETED and agent.err.strip() == agent.message.strip()


def test_an_archive_is_the_same_for_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "__main__.py").write_text("import pkg\n")
    (tmp_path / "pkg" / "__init__.py").write_text("")
    first = archive_of(tmp_path)
    (tmp_path / "pkg" / "__pycache__").mkdir()
    (tmp_path / "pkg" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    (tmp_path / "__main__.py").touch()
    assert archive_of(tmp_path) == first
    with zipfile.ZipFile(io.BytesIO(make_archive({"ü.py": b"print()", "a/b": b""}))) as archive:
        assert archive.testzip() is None and archive.namelist() == ["a/b", "ü.py"]
    (tmp_path / "__main__.py").rename(tmp_path / "one.py")
    (tmp_path / "two.py").write_text("")
    with pytest.raises(ValueError, match=r"got one\.py, two\.py .* expected __main__\.py or one Python file"):
        archive_of(tmp_path)


async def greeting(name: str, *, times: int = 1) -> dict[str, object]:
    """Runs at the server."""
    from inferlet import Context

    context = Context()
    context.fill_user(f"Say hello to {name}.")
    print(f"hello {name}", json.dumps(times))
    return {"text": await context.generate(max_tokens=4), "times": times}


def failing() -> None:
    """Fails at the server."""
    raise ValueError("at the server")


def of_its_file() -> Outcome:
    """Uses a class of this file."""
    return Outcome(0, "", "", "", 0)


def test_the_client_runs_files_folders_and_functions(server: Server, tmp_path: Path) -> None:
    program = tmp_path / "agent.py"
    program.write_text("import sys\ndef main(args):\n    print('said')\n    return args\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text("def main():\n    return 'of a folder'\n")
    other = "variable"

    def closure() -> str:
        return other

    async def main() -> None:
        async with PieClient(server.url) as client:
            await client.authenticate("runner")
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                assert await client.run(program, "a", 5, city="Bern") == '["a", "5", "--city", "Bern"]'
                assert await client.run(tmp_path / "folder") == "of a folder"
                value = await client.run(greeting, "Bern", times=2)
            assert said.getvalue() == "said\nhello Bern 2\n"
            assert value["times"] == 2 and isinstance(value["text"], str)
            hash = await client.upload_program(str(program))
            assert hash == blake3_hex(archive_of(program)) and await client.program_exists(hash)
            told = io.StringIO()
            with (
                contextlib.redirect_stderr(told),
                pytest.raises(ProgramError, match="ValueError: at the server"),
            ):
                await client.run(failing)
            line = failing.__code__.co_firstlineno + 2
            assert f'File "test_python_programs.py", line {line}, in failing' in told.getvalue()
            for wrong, words in (
                (lambda: 5, "lambda"),
                (closure, "uses other of the function around it"),
                (of_its_file, "uses Outcome of its file"),
                (print, "expected a function defined with"),
            ):
                with pytest.raises(TypeError, match=words):
                    await client.run(wrong)
            with pytest.raises(TypeError, match="JSON"):
                await client.run(greeting, object())

    asyncio.run(main())


def test_pie_build_makes_a_component_of_a_python_program(server: Server, tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text("def main(args):\n    return args\n")
    command = [str(PIE), "build", "agent.py"]
    bare = dict(os.environ, PATH="/usr/bin:/bin", PIE_SHARE=str(BUILD / "share" / "pie"))
    done = subprocess.run(command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "pip install componentize-py==" in done.stderr
    tool = tmp_path / "bin" / "componentize-py"
    tool.parent.mkdir()
    where = str(deps.get("componentize-py"))
    tool.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {where!r})\n"
        "import componentize_py\ncomponentize_py.script()\n"
    )
    tool.chmod(0o755)
    with_tool = dict(bare, PATH=f"{tool.parent}:{bare['PATH']}")
    done = subprocess.run(command, cwd=tmp_path, env=with_tool, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    async def main() -> None:
        async with Peer(server.url) as peer:
            instance = await peer.launch(await peer.upload_file(tmp_path / "agent.wasm"), ["a"])
            assert (await peer.final(instance))["message"] == '["a"]'

    asyncio.run(main())


def documented() -> list[str]:
    """The Python blocks of the chapter on programs in Python."""
    page = (ROOT / "docs" / "PROGRAMS.md").read_text()
    return re.findall(
        r"^```python\n(.*?)^```", page.split("## Programs in Python")[1].split("\n## ")[0], re.M | re.S
    )


@pytest.mark.parametrize("code", documented())
def test_an_example_of_the_page_runs(server: Server, tmp_path: Path, code: str) -> None:
    if "PieClient" in code:
        (tmp_path / "client.py").write_text(code.replace("ws://127.0.0.1:8080", server.url))
        done = subprocess.run(
            [sys.executable, "client.py"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 and len(json.loads(done.stdout.replace("'", '"'))) == 3, done.stderr
    else:
        outcome = run(server, code, "the sea", "the sky")
        assert outcome.event == COMPLETED and outcome.message, outcome.err
