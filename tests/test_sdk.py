"""The C++ guest SDK: its checked-in object matches wit/, and Context does what it promises."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import BUILD, PIE, ROOT, Server
from tests.test_models import tiny
from tests.wire import Peer


def test_the_component_type_object_is_not_stale_against_wit() -> None:
    """Mended by running tools/update_component_type.py and committing the result."""
    command = [sys.executable, str(ROOT / "tools" / "update_component_type.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_an_earlier_build_left_in_the_sdk_is_removed(tmp_path: Path) -> None:
    sdk = tmp_path / "sdk"
    for name in ("lib/abi.o", "lib/component_type.o", "include/pie/old.h", "include/pie/new.h"):
        (sdk / name).parent.mkdir(parents=True, exist_ok=True)
        (sdk / name).write_text(name)
    script = tmp_path / "update.cmake"
    script.write_text(f"include({ROOT}/cmake/RemoveOthers.cmake)\n"
                      f"pie_remove_others({sdk} {sdk}/lib/abi.o {sdk}/include/pie/new.h {sdk}/absent.o)\n"
                      f"pie_remove_others({tmp_path}/nowhere {sdk}/lib/abi.o)\n")  # fmt: skip
    subprocess.run(["cmake", "-P", script], check=True)
    left = sorted(str(path.relative_to(sdk)) for path in sdk.rglob("*") if path.is_file())
    assert left == ["include/pie/new.h", "lib/abi.o"]
    # And the SDK of this build holds nothing but what it installs.
    built = BUILD / "share" / "pie" / "sdk"
    objects = {path.stem for path in (built / "lib").iterdir()}
    sources = {path.stem for path in (ROOT / "sdk" / "src").glob("*.cc")}
    assert objects == sources - {"run_entry", "http_entry"}


@pytest.mark.parametrize("scenario", [
    "fork", "fork-chat", "parallel", "chunks", "pending", "mask", "drop-pages", "samplers", "stop", "stream",
    "conversation", "reply-prefix", "beam",
])  # fmt: skip
def test_context(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/sdk_scenarios.cpp says what each scenario shows; it fails with a reason."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "sdk_scenarios.wasm")
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"

    asyncio.run(main())


@pytest.mark.parametrize("scenario", [
    "when-all", "timeout", "when-any", "dropped", "beside", "many", "drafts", "drafts-chat",
    "drafts-custom", "compose", "export", "tools", "json", "ok", "become", "join",
])  # fmt: skip
def test_tasks(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/task_scenarios.cpp says what each scenario shows; it is a coroutine."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "task_scenarios.wasm")
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"

    asyncio.run(main())


@pytest.mark.parametrize("scenario", [
    "lengths", "ends", "forks", "chat", "dropped", "repeats", "grammar", "adaptive", "positions",
    "log-probabilities", "window",
])  # fmt: skip
def test_answers_of_the_engine_are_those_of_steps(server: Server, programs: Path, scenario: str) -> None:
    """tests/programs/answer_scenarios.cpp: Context::generate in both ways, text for text."""

    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "answer_scenarios.wasm")
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"

    asyncio.run(main())


def test_messages_are_awaited(server: Server, programs: Path) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            hash = await peer.upload_file(programs / "task_scenarios.wasm")
            instance = await peer.launch(hash, ["messages"])
            await peer.message(instance, "ready")
            for text in ("one", "two"):
                await peer.send("signal_instance", instance_id=instance, message=text)
            end = await peer.final(instance)
            assert end["message"] == "messages: passed"

    asyncio.run(main())


EXAMPLES = [
    (f"{path.relative_to(ROOT)}-{number}", text)
    for path in (ROOT / "docs" / "PROGRAMS.md", ROOT / "sdk" / "README.md")
    for number, text in enumerate(re.findall(r"```cpp\n(.*?)```", path.read_text(), re.S))
]


@pytest.mark.parametrize("text", [text for _, text in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_an_example_of_the_documents_compiles_and_runs(server: Server, tmp_path: Path, text: str) -> None:
    source = tmp_path / "example.cpp"
    source.write_text(text)
    kind = ["--http"] if "inferlet_http(" in text else []
    command = [str(PIE), "build", *kind, "--flag=-Werror", "example.cpp"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    if kind:
        return  # test_http.py launches it

    async def main() -> None:
        async with Peer(server.url) as peer:
            arguments = [] if "ArgumentParser" in text else ["the sea", "the sky"]
            instance = await peer.launch(await peer.upload_file(tmp_path / "example.wasm"), arguments)
            end = await peer.final(instance)
            assert end["event"] == 1 and end["message"], end

    asyncio.run(main())


EXCEPTION = 3
# Of Qwen3's kind: what was thought in earlier answers is left out of them.
FORGETFUL = (
    "{% for m in messages %}<|{{ m.role }}|>{% if m.role == 'assistant' %}"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
# Of Gemma 2's kind: no place for a system turn.
USERS_ONLY = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
    "{% endif %}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


@contextlib.asynccontextmanager
async def tiny_server(folder: Path, family: str, *keys: str) -> AsyncIterator[tuple[Server, Peer]]:
    """A server of one tiny model, which has 256 tokens of context, and a peer of it."""
    model = tiny(family, "tiny", folder / "models", *keys)
    one = Server(folder / "home", "--model", str(model), "--kv-pages", "256").start()
    try:
        async with Peer(one.url) as peer:
            yield one, peer
    finally:
        assert one.stop() == 0, one.log.read_text()[-4000:]


@pytest.mark.parametrize(("scenario", "family", "keys"), [
    ("rewrite", "qwen3", [f"tokenizer.chat_template={FORGETFUL}"]),
    ("bos", "gemma2", []),
    ("beyond", "llama", []),
])  # fmt: skip
def test_context_of_another_model(
    tmp_path: Path, programs: Path, scenario: str, family: str, keys: list[str]
) -> None:
    async def main() -> None:
        async with tiny_server(tmp_path, family, *keys) as (one, peer):
            hash = await peer.upload_file(programs / "sdk_scenarios.wasm")
            end = await peer.final(await peer.launch(hash, [scenario]))
            assert end["event"] == 1, end["message"]
            assert end["message"] == f"{scenario}: passed"
            said = one.log.read_text().count("is longer than the 256 that tiny was trained for")
            assert said == (1 if scenario == "beyond" else 0)

    asyncio.run(main())


def test_text_completion_says_when_the_context_is_full(tmp_path: Path) -> None:
    async def main() -> None:
        async with tiny_server(tmp_path, "llama") as (_, peer):
            arguments = ["--temperature", "0", "--max-tokens", "400", "--prompt"]
            end = await peer.final(await peer.launch("text-completion", [*arguments, "x" * 1200]))
            assert end["event"] == EXCEPTION
            assert "tokens, expected fewer than the 256 of the model's context" in end["message"]
            instance = await peer.launch("text-completion", [*arguments, "hello"])
            end = await peer.final(instance)
            assert end["event"] == 1, end["message"]
            assert "the answer ends here" in peer.output(instance, "Stderr")

    asyncio.run(main())


def test_text_completion_with_a_template_that_refuses_system_turns(tmp_path: Path) -> None:
    async def main() -> None:
        async with tiny_server(tmp_path, "gemma2", f"tokenizer.chat_template={USERS_ONLY}") as (_, peer):
            arguments = ["--prompt", "hello", "--system", "he he", "--max-tokens", "4"]
            end = await peer.final(await peer.launch("text-completion", arguments))
            assert end["event"] == 1, end["message"]

    asyncio.run(main())
