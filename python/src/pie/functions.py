"""Functions of the caller's as programs of the server."""

from __future__ import annotations

import builtins
import dis
import inspect
import json
import re
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pie.archive import make_archive

# The file that runs a function: its argument is the call as JSON, what it returns the value.
_MAIN = """\
import importlib
import inspect
import json

import {module} as module

for name, imported in {imports!r}.items():
    setattr(module, name, importlib.import_module(imported))


async def main(arguments):
    given = json.loads(arguments[0])
    value = module.{name}(*given["args"], **given["kwargs"])
    return json.dumps(await value if inspect.isawaitable(value) else value)
"""


def program_of(function: Callable[..., Any]) -> bytes:
    """The ZIP of a function: its source, under the name of its own file and at its own lines.

    TypeError for what cannot leave its place: lambdas, methods, functions within others that use
    variables of theirs, and functions that use names of their module that are no imported modules.
    """
    name = getattr(function, "__qualname__", repr(function))
    if not isinstance(function, types.FunctionType):
        raise TypeError(f"[run] got {name}, expected a function defined with `def` or `async def`")
    if function.__name__ == "<lambda>":
        raise TypeError(f"[run] got the lambda {name}, expected a function defined with `def`")
    if function.__closure__:
        names = ", ".join(function.__code__.co_freevars)
        raise TypeError(
            f"[run] got {name}, which uses {names} of the function around it: hand values over as "
            "arguments"
        )
    imports = _imports_of(function, name)
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError) as error:
        raise TypeError(f"[run] got {name}, whose source is not to be found: {error}") from None
    source = "\n" * (first - 1) + textwrap.dedent("".join(lines))
    module = _module_name(function)
    main = _MAIN.format(module=module, name=function.__name__, imports=imports)
    return make_archive({f"{module}.py": source.encode(), "__main__.py": main.encode()})


def call_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """The argument of such a program."""
    try:
        return json.dumps({"args": args, "kwargs": kwargs})
    except (TypeError, ValueError) as error:
        raise TypeError(f"[run] got arguments that JSON has no form for: {error}") from None


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _imports_of(function: types.FunctionType, name: str) -> dict[str, str]:
    """The modules that a function uses by names of its file; a TypeError for other names."""
    used = {
        instruction.argval
        for code in _codes(function.__code__)
        for instruction in dis.get_instructions(code)
        if instruction.opname == "LOAD_GLOBAL"
    }
    imports, others = {}, []
    for one in sorted(used - {function.__name__}):
        if one not in function.__globals__:
            continue  # a built-in one; or an error, as it is here
        value = function.__globals__[one]
        if isinstance(value, types.ModuleType):
            imports[one] = value.__name__
        elif getattr(builtins, one, None) is not value:
            others.append(one)
    if others:
        raise TypeError(
            f"[run] got {name}, which uses {', '.join(others)} of its file: define or import "
            "it in the function, or run the file"
        )
    return imports


def _module_name(function: types.FunctionType) -> str:
    stem = re.sub(r"\W", "_", Path(function.__code__.co_filename).stem).strip("_") or "function"
    is_taken = stem in sys.stdlib_module_names or stem in ("inferlet", "pie_runtime", "pie_entry")
    return f"{stem}_" if is_taken or stem[0].isdigit() else stem
