"""Functions that a model may call, typed by their annotations."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from inferlet import _host as host
from inferlet.schema import ReadError, fields_of_function, object_schema, read_object, to_json

_NAME = re.compile(r"[\w./:-]{1,128}", re.ASCII)
_ARGUMENT = re.compile(r"^\s*:?(?:param\s+)?(\w+)(?:\s*\([^)]*\))?\s*:\s*(.+)$")
_HEADINGS = ("args:", "arguments:", "parameters:")
_Function = TypeVar("_Function", bound=Callable[..., Any])


class ToolError(ValueError):
    """What a model got wrong in a call, for it to read."""


@dataclass(frozen=True)
class Tool:
    """A function, and what the model is told of it."""

    name: str
    description: str
    parameters: dict[str, Any]
    """A JSON Schema of its arguments."""
    function: Callable[..., Any]

    async def run(self, arguments: Any) -> str:
        """Calls it: text as it is, everything else as JSON. What is wrong with the arguments is a ToolError."""
        try:
            given = read_object(fields_of_function(self.function), arguments, self.name)
        except ReadError as error:
            raise ToolError(str(error)) from None
        value = self.function(**given)
        if inspect.isawaitable(value):
            value = await value
        if value is None:
            return "done"
        return value if isinstance(value, str) else json.dumps(to_json(value), ensure_ascii=False)


class Tools:
    """Functions, by name. `@tools.add` takes one: its docstring says what it does, annotations what it takes.

    The arguments are described by `Annotated[str, "Name of the city"]`, or by lines `city: Name of the
    city` in the docstring.
    """

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self._tools: dict[str, Tool] = {}
        for function in functions:
            self.add(function)

    @overload
    def add(self, function: _Function, /) -> _Function: ...
    @overload
    def add(
        self, /, *, name: str | None = None, description: str | None = None
    ) -> Callable[[_Function], _Function]: ...
    def add(self, function: Any = None, /, *, name: str | None = None, description: str | None = None) -> Any:
        """Takes a function, plain or async; a decorator, with or without arguments."""
        if function is None:
            return lambda one: self._put(one, name, description)
        return self._put(function, name, description)

    def _put(self, function: _Function, name: str | None, description: str | None) -> _Function:
        if not callable(function):
            raise TypeError(f"[tool] got {type(function).__name__}, expected a function")
        called = str(name or getattr(function, "__name__", ""))
        if not _NAME.fullmatch(called):
            raise ValueError(f"[tool] got the name {called!r}, expected 1 to 128 letters, digits and _ - . / :")
        words, of_arguments = _described(inspect.getdoc(function) or "")
        fields = fields_of_function(function)
        self._tools[called] = Tool(called, description or words, object_schema(fields, of_arguments), function)
        return function

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def schema(self) -> list[dict[str, Any]]:
        """The tools as chat templates take them."""
        return [
            {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
            for t in self
        ]

    async def call(self, name: str, arguments: str | dict[str, Any] = "") -> str:
        """Calls one with the text of its arguments, a JSON object. What the model got wrong is a ToolError."""
        tool = self._tools.get(host.text("tool", name))
        if tool is None:
            known = ", ".join(repr(one) for one in self._tools) or "none: there are no tools"
            raise ToolError(f"[tool] got {name!r}, expected one of {known}")
        if isinstance(arguments, str):
            try:
                arguments = json.loads(arguments or "{}")
            except ValueError as error:
                raise ToolError(f"[{name}] got arguments that are no JSON: {error}") from None
        return await tool.run(arguments)


def _described(doc: str) -> tuple[str, dict[str, str]]:
    """A docstring's words on the function, and those on its arguments."""
    words: list[str] = []
    found: dict[str, str] = {}
    is_in_arguments = False
    for line in doc.splitlines():
        if line.strip().lower() in _HEADINGS:
            is_in_arguments = True
            continue
        match = _ARGUMENT.match(line)
        if match and (is_in_arguments or line.lstrip().startswith(":param") or line[:1].isspace()):
            found[match[1]] = match[2].strip()
        elif line.strip().lower() in ("returns:", "raises:"):
            break
        elif not is_in_arguments:
            words.append(line.strip())
    return " ".join(" ".join(words).split()), found
