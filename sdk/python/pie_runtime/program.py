"""Runs a program: its file as `__main__`, then `main`, and says what came of it."""

from __future__ import annotations

import ast
import asyncio
import dis
import inspect
import io
import json
import linecache
import sys
import traceback
import types
import zipfile
from typing import Any

from pie_runtime import event_loop, importer

_LOAD_NAME = dis.opmap["LOAD_NAME"]
_EXTENDED_ARG = dis.opmap["EXTENDED_ARG"]


def _uses_name(code: types.CodeType, name: str) -> bool:
    """Whether the top level of a file reads a name."""
    if name not in code.co_names:
        return False
    wanted = code.co_names.index(name)
    argument = 0
    for opcode, low in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument = argument << 8 | low
        if opcode == _EXTENDED_ARG:
            continue
        if opcode == _LOAD_NAME and argument == wanted:
            return True
        argument = 0
    return False


def _call_main(main: Any, arguments: list[str]) -> Any:
    """Calls main() by what it takes: nothing, the list of arguments, or each of them."""
    parameters = list(inspect.signature(main).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if positional:
        return main(arguments)
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return main(*arguments)
    return main()


async def _awaited(value: Any) -> Any:
    return await value


def _execute(data: bytes, arguments: list[str]) -> Any:
    """The value of the program."""
    program, entry = importer.open_program(data)
    sys.argv = [entry, *arguments]
    module = types.ModuleType("__main__")
    module.__file__ = entry
    module.__loader__ = program
    sys.modules["__main__"] = module
    code = importer.compile_file(program.read(entry), entry, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(code, module.__dict__))
    else:
        exec(code, module.__dict__)
    main = module.__dict__.get("main")
    if not callable(main) or event_loop.EventLoop.runs > 0 or _uses_name(code, "main"):
        return None
    value = _call_main(main, arguments)
    return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value


def _text_of(value: Any) -> str | None:
    """What a program returns, as text: a string as it is, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"[main] got a value that JSON has no form for: {error}; return text, or what json.dumps takes"
        ) from None


def _is_own(file: str) -> bool:
    return "/pie_runtime/" in file or "/asyncio/" in file or file.startswith("<frozen ")


def _without_runtime(error: traceback.TracebackException) -> None:
    """Takes off the frames above the program's first: those of the runtime and its event loop."""
    while error.stack and _is_own(error.stack[0].filename):
        del error.stack[0]
    for other in (error.__cause__, error.__context__, *(error.exceptions or ())):
        if other is not None:
            _without_runtime(other)


def _describe(error: BaseException) -> str:
    """Writes the traceback to standard error; gives its last words."""
    try:
        told = traceback.TracebackException.from_exception(error)
        _without_runtime(told)
        sys.stderr.write("".join(told.format()))
        return "".join(told.format_exception_only()).strip()
    except Exception as second:  # a __str__ of the program's, say
        return f"{type(error).__name__} (its description failed: {type(second).__name__})"


_FIRST_PROGRAM = b"""
import asyncio


class Thought:
    def __init__(self, text):
        self.text = text


async def think(text):
    await asyncio.sleep(0)
    return Thought(f"{text}!")


async def main(args):
    found = await asyncio.gather(*(think(one) for one in args))
    return [one.text for one in found]
"""
_WARM_UP_RUNS = 4


def warm_up() -> None:
    """Runs a program some times while the snapshot is made.

    The interpreter then has the code and the types that every program needs in the form that it makes of
    them when they are used, and no instance has to write that into pages of its own.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("warm_up.py", _FIRST_PROGRAM)
    before = sys.meta_path[:], sys.argv, sys.modules["__main__"]
    for _ in range(_WARM_UP_RUNS):
        if run(archive.getvalue(), ["a", "b"]) != ('["a!", "b!"]', None):
            raise RuntimeError("[snapshot] got a program that does not run, expected one")
        sys.meta_path[:], sys.argv, sys.modules["__main__"] = before[0][:], before[1], before[2]
        linecache.cache.pop("warm_up.py", None)
        event_loop.EventLoop.runs = 0


def run(data: bytes, arguments: list[str]) -> tuple[str | None, str | None]:
    """Runs a program of these bytes: what it returned, and what it failed of, if it did.

    `sys.exit()`, and with 0, is a good end; with another number or a text it is a failure.
    """
    try:
        return _text_of(_execute(data, arguments)), None
    except SystemExit as error:
        if error.code is None or error.code == 0:
            return None, None
        if isinstance(error.code, int):
            return None, f"exit status {error.code}"
        sys.stderr.write(f"{error.code}\n")
        return None, str(error.code)
    except BaseException as error:
        return None, _describe(error)
