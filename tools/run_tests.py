#!/usr/bin/env python3
"""Runs every test of Pie and ends in one line: N passed, N failed.

    tools/run_tests.py                    everything
    tools/run_tests.py --only unit        one suite: unit, e2e, lint, sanitizers, fuzz
    tools/run_tests.py --filter TEXT      only tests whose name has TEXT (unit and e2e)

Exit code 0 when nothing failed and something passed. `make test` builds what this needs first.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
VENV = BUILD / "venv" / "bin"
UNIT_TIMEOUT_S = 900
# More than cores: these tests wait for servers, clocks and compilers more than they compute.
E2E_WORKERS = "3"
# Modules of tools/lint.
OWN_CHECKS = ["spec", "includes", "commits", "declarations bools", "declarations names", "tidy"]
# Programs that run at the same time, and which of them begin, so that none of the long ones is last.
WORKERS = min(2, os.cpu_count() or 1)
LONGEST = ["numerics_test", "exec_test", "engine_test", "kernels_test", "host_test"]
# Test programs whose code can run under a sanitizer, and which of their tests are left out (patterns
# of GoogleTest): no wasm fibers (ASan and TSan do not follow wasmtime's stack switches), no native
# executor on the default model (the scalar kernels, the only ones here, would take minutes), and
# under TSan no ggml (its threads are not instrumented); nor what has no descriptors left, which
# UBSan needs itself to look at an object's type.
DEFAULT_MODEL = ("*EngineWith*:*ExecutorTest.*/native:NativeExecutorTest.*default_model*:"
                 "NativeExecutorTest.no_cache*:NativeExecutorTest.masked*:"
                 "NativeExecutorTest.agrees*:NativeExecutorTest.pages_of_bf16*")  # fmt: skip
SANITIZED = {
    "asan-ubsan": {
        "engine_test": DEFAULT_MODEL, "exec_test": DEFAULT_MODEL, "kernels_test": "",
        "base_test": "", "kv_test": "", "sched_test": "", "sample_test": "", "crypto_test": "",
        "protocol_test": "", "store_test": "*out_of_descriptors*", "instance_test": "",
        "decode_test": "",
    },
    "tsan": {
        "engine_test": DEFAULT_MODEL,
        "exec_test": f"{DEFAULT_MODEL}:*/ggml:Ggml*:NativeExecutorTest.so_do_those*",
        "base_test": "", "sched_test": "", "instance_test": "", "decode_test": "",
    },
}  # fmt: skip


@dataclasses.dataclass
class Tally:
    """Counts of one suite, and the names of what failed."""

    passed: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Takes in another suite's counts."""
        self.passed += other.passed
        self.failed += other.failed


def model_path() -> str:
    """The default model, as `make build` installed it."""
    return str(next((BUILD / "share" / "pie" / "models").glob("*.gguf")))


def extra_model_path(name: str) -> str:
    """A model for tests and benchmarks only, fetched where it is missing."""
    command = [sys.executable, str(ROOT / "tools" / "deps.py"), "get", name]
    folder = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    return str(next(Path(folder).glob("*.gguf")))


@functools.cache
def environment() -> dict[str, str]:
    """What every test program finds in its environment."""
    return dict(
        os.environ,
        PIE_TEST_MODEL=model_path(),
        PIE_TEST_GEMMA=extra_model_path("gemma3"),
        PIE_TEST_CODER=extra_model_path("qwen-coder"),
        PIE_SHARE=str(BUILD / "share" / "pie"),
        PIE_BUILD=str(BUILD),
        ASAN_OPTIONS="detect_leaks=1:abort_on_error=0",
        UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1",
        TSAN_OPTIONS="halt_on_error=1",
    )


def run_gtest(program: Path, label: str, name_filter: str, left_out: str) -> Tally:
    """One GoogleTest program; a crash counts as one failure besides what it had printed.

    What there is to say is printed at the end, in one piece.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [str(program), f"--gtest_output=json:{report}", "--gtest_brief=1",
                   f"--gtest_filter=*{name_filter}*-{left_out}"]  # fmt: skip
        started = time.monotonic()
        try:
            done = subprocess.run(command, env=environment(), cwd=folder, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  errors="replace", timeout=UNIT_TIMEOUT_S)  # fmt: skip
            output, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as late:
            output = (late.stdout or b"").decode(errors="replace")
            code = -1
        tally = Tally()
        if report.exists():
            for suite in json.loads(report.read_text())["testsuites"]:
                for test in suite["testsuite"]:
                    name = f"{label}: {suite['name']}.{test['name']}"
                    if test.get("failures"):
                        tally.failed.append(name)
                    elif test["status"] == "RUN":
                        tally.passed += 1
        if code != 0 and not tally.failed:
            tally.failed.append(f"{label}: ended with {code}")
        said = f"{output[-20000:]}\n" if tally.failed else ""
        sys.stdout.write(f"{said}  {label}: {tally.passed} passed, {len(tally.failed)} failed"
                         f" ({time.monotonic() - started:.0f} s)\n")  # fmt: skip
        sys.stdout.flush()
        return tally


def run_gtests(programs: list[tuple[Path, str, str, str]]) -> Tally:
    """GoogleTest programs (the arguments of run_gtest), as many at a time as there are workers."""
    tally = Tally()
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as workers:
        for one in workers.map(lambda program: run_gtest(*program), programs):
            tally.add(one)
    return tally


def unit(name_filter: str) -> Tally:
    """Every GoogleTest program of the release build."""
    folder = BUILD / "cmake" / "release" / "tests"
    order = {name: place for place, name in enumerate(LONGEST)}
    programs = sorted(folder.glob("*_test"), key=lambda p: (order.get(p.name, len(order)), p.name))
    if not programs:
        return Tally(failed=["unit: no test programs; run `make test`"])
    return run_gtests([(program, program.name, name_filter, "") for program in programs])


def run_pytest(folder: Path, name_filter: str) -> Tally:
    """pytest over one folder, counted from its JUnit report."""
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report.xml"
        command = [str(VENV / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider",
                   "-n", E2E_WORKERS, "--dist", "loadgroup", "--timeout=900", "--durations=15",
                   f"--junitxml={report}", str(folder)]  # fmt: skip
        if name_filter:
            command += ["-k", name_filter]
        started = time.monotonic()
        done = subprocess.run(command, env=environment(), cwd=ROOT, check=False)
        tally = Tally()
        if report.exists():
            for case in ET.parse(report).getroot().iter("testcase"):
                name = f"{case.get('classname')}.{case.get('name')}"
                if case.find("failure") is not None or case.find("error") is not None:
                    tally.failed.append(name)
                elif case.find("skipped") is None:
                    tally.passed += 1
        if done.returncode not in (0, 5) and not tally.failed:
            tally.failed.append(f"{folder.name}: pytest ended with {done.returncode}")
        print(f"  {folder.relative_to(ROOT)}: {tally.passed} passed, {len(tally.failed)} failed"
              f" ({time.monotonic() - started:.0f} s)", flush=True)  # fmt: skip
        return tally


def e2e(name_filter: str) -> Tally:
    """The Python package's own tests and the tests against the real server."""
    tally = Tally()
    for folder in (ROOT / "python" / "tests", ROOT / "tests"):
        tally.add(run_pytest(folder, name_filter))
    return tally


def build_environment() -> dict[str, str]:
    """What a compiler finds in its environment: the cache of tools/build."""
    cache = Path(os.environ.get("PIE_CACHE") or Path.home() / ".cache" / "pie") / "ccache"
    return dict(os.environ, CCACHE_DIR=str(cache), CCACHE_BASEDIR=str(ROOT), CCACHE_NOHASHDIR="1",
                CCACHE_SLOPPINESS="time_macros,include_file_mtime,include_file_ctime")  # fmt: skip


def check(name: str, command: list[str]) -> Tally:
    """One lint command: passes when it exits with 0."""
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=build_environment())  # fmt: skip
    word = "ok" if done.returncode == 0 else "failed"
    print(f"  {name}: {word} ({time.monotonic() - started:.0f} s)", flush=True)
    if done.returncode == 0:
        return Tally(passed=1)
    print(done.stdout[-8000:])
    return Tally(failed=[f"lint: {name}"])


def tracked(*patterns: str) -> list[str]:
    """Files of the repository, the ones not yet committed included."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *patterns], cwd=ROOT,
                            text=True, check=True, stdout=subprocess.PIPE).stdout  # fmt: skip
    return [line for line in listed.splitlines() if (ROOT / line).exists()]


def lint(_: str) -> Tally:
    """Formatting, the Python linters, and our own checks."""
    python = ["python", "tools", "tests", "bench", "sdk", "docs"]
    tally = check("clang-format", ["clang-format-22", "--dry-run", "-Werror",
                                   *tracked("*.h", "*.cc", "*.cpp")])  # fmt: skip
    tally.add(check("ruff check", [str(VENV / "ruff"), "check", *python]))
    for name in OWN_CHECKS:
        tally.add(check(name, [str(VENV / "python"), "-m", *f"tools.lint.{name}".split()]))
    tally.add(check("headers alone", ["cmake", "--build", str(BUILD / "cmake" / "release"),
                                      "--target", "headers"]))  # fmt: skip
    tally.add(check("mypy", [str(VENV / "mypy"), "--config-file", "python/pyproject.toml",
                             "python/src/pie"]))  # fmt: skip
    tally.add(check("mypy sdk", [str(VENV / "python"), "-m", "tools.python_runtime", "--mypy",
                                 str(VENV / "mypy")]))  # fmt: skip
    typed = ["-p", "tools.lint", "-p", "tools.pictures"]
    tally.add(check("mypy tools", [str(VENV / "mypy"), "--strict", *typed]))
    return tally


def build_preset(preset: str, programs: list[str], *options: str) -> Tally:
    """Builds some programs of another preset; a failure is printed and counted."""
    for command in (
        ["cmake", "--preset", preset, *options],
        ["cmake", "--build", str(BUILD / "cmake" / preset), "--target", *programs],
    ):
        done = subprocess.run(command, cwd=ROOT, env=build_environment(), text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
        if done.returncode != 0:
            print(done.stdout[-8000:])
            return Tally(failed=[f"{preset}: `{' '.join(command[:3])}` failed"])
    return Tally()


def sanitizers(name_filter: str) -> Tally:
    """Builds and runs the test programs that can bear them under ASan+UBSan and TSan."""
    tally = Tally()
    for preset, programs in SANITIZED.items():
        built = build_preset(preset, list(programs), "-DPIE_BUILD_TESTS=ON")
        tally.add(built)
        if built.failed:
            continue
        folder = BUILD / "cmake" / preset / "tests"
        tally.add(run_gtests([(folder / program, f"{preset} {program}", name_filter, left_out)
                              for program, left_out in programs.items()]))  # fmt: skip
    return tally


def build_fuzzers() -> Tally:
    """Builds the fuzzers."""
    return build_preset("fuzz", ["fuzzers"])


def fuzz(_: str) -> Tally:
    """Every fuzzer over its seeds and some thousand inputs; `make fuzz` runs them for long."""
    built = build_fuzzers()
    if built.failed:
        return built
    return check("fuzz", [str(VENV / "python"), "tests/fuzz/run.py", "--short"])


SUITES: dict[str, Callable[[str], Tally]] = {
    "unit": unit, "e2e": e2e, "sanitizers": sanitizers, "fuzz": fuzz, "lint": lint,
}  # fmt: skip


def main() -> int:
    """Runs the suites that were asked for and prints the sum."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=SUITES)
    parser.add_argument("--filter", default="")
    parser.add_argument("--build-only", choices=["fuzz"], help="build what `make fuzz` runs")
    options = parser.parse_args()
    if options.build_only:
        return 1 if build_fuzzers().failed else 0
    total = Tally()
    for name, suite in SUITES.items():
        if options.only in (None, name):
            print(f"[{name}]", flush=True)
            total.add(suite(options.filter))
    for name in total.failed:
        print(f"FAILED {name}")
    print(f"{total.passed} passed, {len(total.failed)} failed")
    return 0 if total.passed and not total.failed else 1


if __name__ == "__main__":
    sys.exit(main())
