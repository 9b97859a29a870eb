"""Programs in Rust and TypeScript over the interfaces of wit/: built by the commands of their READMEs.

Skipped, with the reason, where a toolchain is missing. What was built of the same files before is used
again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server
from tests.wire import Peer

CACHE = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie") / "other-languages"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PROMPT = "What is gravity?"
COMPLETED = 1


def files_of(folder: Path) -> list[Path]:
    """Its files in the repository, and those of wit/ that it is built against."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", folder, "wit"], cwd=ROOT,
                            text=True, check=True, capture_output=True).stdout  # fmt: skip
    return [ROOT / line for line in sorted(listed.splitlines())]


def key_of(folder: Path) -> str:
    key = hashlib.sha256()
    for file in files_of(folder):
        if not file.is_file():  # a link to a folder whose files are listed by themselves
            continue
        key.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return key.hexdigest()[:16]


def run(command: list[str | Path], folder: Path, **env: str) -> None:
    done = subprocess.run(command, cwd=folder, text=True, check=False, env=dict(os.environ, **env),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=580)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]


def copied(folder: Path, into: Path) -> Path:
    """The repository's files alone, with wit/ where the program expects it."""
    for file in files_of(folder):
        target = into / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target, follow_symlinks=False)
    return into / folder.relative_to(ROOT)


def built(name: str, make: list[list[str | Path]], output: str, into: Path, **env: str) -> Path:
    """The component, from the cache or by `make`."""
    folder = ROOT / "inferlets" / name
    component = CACHE / f"{name}-{key_of(folder)}.wasm"
    if not component.exists():
        work = copied(folder, into)
        for command in make:
            run(command, work, **env)
        CACHE.mkdir(parents=True, exist_ok=True)
        part = component.with_suffix(f".{os.getpid()}")
        shutil.copy(work / output, part)
        part.rename(component)
    return component


@pytest.fixture(scope="module")
def rust(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("rustup") or not shutil.which("cargo"):
        pytest.skip("there is no Rust toolchain")
    targets = subprocess.run(["rustup", "target", "list", "--installed"], text=True, check=False,
                             capture_output=True).stdout  # fmt: skip
    if "wasm32-wasip2" not in targets.split():
        pytest.skip("the target wasm32-wasip2 is missing: rustup target add wasm32-wasip2")
    return built("rust-completion",
                 [["cargo", "build", "--release", "--locked", "--target", "wasm32-wasip2"]],
                 "target/wasm32-wasip2/release/rust_completion.wasm",
                 tmp_path_factory.mktemp("rust"))  # fmt: skip


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("npm"):
        pytest.skip("there is no npm")
    return built("typescript-completion",
                 [["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "check"], ["npm", "run", "build"]],
                 "build/typescript-completion.wasm", tmp_path_factory.mktemp("typescript"))  # fmt: skip


async def said(peer: Peer, component: Path, *arguments: str) -> tuple[str, str]:
    """What a program prints, and what it returns."""
    instance = await peer.launch(await peer.upload_file(component), list(arguments))
    end = await peer.final(instance)
    assert end["event"] == COMPLETED, end["message"]
    return peer.output(instance), str(end["message"])


async def answer(peer: Peer) -> str:
    """What the program in C++ says, under the words that the model's template begins with by itself."""
    instance = await peer.launch("std/text-completion", ["-p", PROMPT, "-s", SYSTEM, "-n", "40", "-t", "0"])
    return str((await peer.final(instance))["message"])


def test_a_program_in_rust_says_what_one_in_cpp_says(server: Server, rust: Path) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            expected = await answer(peer)
            assert await said(peer, rust, PROMPT, "40") == (expected, expected)
            instance = await peer.launch(await peer.upload_file(rust), [PROMPT, "many"])
            end = await peer.final(instance)
            assert '[arguments] got "many" tokens, expected a number' in end["message"]

    asyncio.run(main())


def test_a_program_in_typescript_says_what_one_in_cpp_says(server: Server, typescript: Path) -> None:
    async def main() -> None:
        async with Peer(server.url) as peer:
            expected = await answer(peer)
            assert await said(peer, typescript, PROMPT, "40") == ("", expected)
            instance = await peer.launch(await peer.upload_file(typescript), [PROMPT, "many"])
            end = await peer.final(instance)
            assert '[arguments] got "many" tokens, expected a number' in end["message"]

    asyncio.run(main())
