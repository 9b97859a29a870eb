"""JSON Schemas of Python types, and values read by them."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Union, get_args, get_origin

_NAMES: dict[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
_MISSING = object()


class ReadError(ValueError):
    """A value that is not of its type, in words that a model can mend."""


def schema_of(kind: Any) -> dict[str, Any]:
    """The schema of the JSON that is read as this type.

    str, int, float, bool, None, list, dict, tuple, Literal, Enum, unions, dataclasses, TypedDict, Any;
    `Annotated[kind, "words"]` describes a value.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        words = [one for one in arguments[1:] if isinstance(one, str)]
        return {**schema_of(arguments[0]), **({"description": words[0]} if words else {})}
    if kind is Any or kind is inspect.Parameter.empty:
        return {}
    if kind is None or kind in _NAMES:
        return {"type": _NAMES[type(None) if kind is None else kind]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one) for one in arguments]}
    if _is_list(kind, origin):
        return {"type": "array", **({"items": schema_of(arguments[0])} if arguments else {})}
    if kind is tuple or origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return {"type": "array", "items": schema_of(arguments[0])}
        return {"type": "array", "prefixItems": [schema_of(one) for one in arguments], "items": False}
    if kind is dict or origin in (dict, Mapping):
        return {"type": "object", **({"additionalProperties": schema_of(arguments[1])} if arguments else {})}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return {"enum": [member.value for member in kind]}
    if (fields := _fields_of(kind)) is not None:
        return object_schema(fields)
    raise TypeError(f"[schema] got the type {kind!r}, expected one that JSON has a form for")


def object_schema(fields: Mapping[str, tuple[Any, bool]], words: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The schema of an object: by field its type and whether it has to be there; `words` describe them."""
    properties: dict[str, Any] = {}
    for name, (kind, _) in fields.items():
        properties[name] = schema_of(kind)
        if words and name in words:
            properties[name].setdefault("description", words[name])
    required = [name for name, (_, is_required) in fields.items() if is_required]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def read(kind: Any, value: Any, what: str) -> Any:
    """The JSON value as this type; a ReadError says where it is another."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is typing.Annotated:
        return read(arguments[0], value, what)
    if kind is Any or kind is inspect.Parameter.empty:
        return value
    if kind is None or kind in _NAMES:
        return _read_plain(type(None) if kind is None else kind, value, what)
    if origin is Literal:
        if value not in arguments:
            raise ReadError(f"[{what}] got {value!r}, expected one of {', '.join(map(repr, arguments))}")
        return value
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, what)
    if _is_list(kind, origin) or kind is tuple or origin is tuple:
        return _read_items(kind, value, what)
    if kind is dict or origin in (dict, Mapping):
        _check(value, dict, "an object", what)
        return {key: read(arguments[1] if arguments else Any, one, f"{what}.{key}") for key, one in value.items()}
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        values = [member.value for member in kind]
        if value not in values:
            raise ReadError(f"[{what}] got {value!r}, expected one of {', '.join(map(repr, values))}")
        return kind(value)
    if (fields := _fields_of(kind)) is not None:
        found = read_object(fields, value, what)
        return kind(**found)
    raise TypeError(f"[{what}] got the type {kind!r}, expected one that JSON has a form for")


def read_object(fields: Mapping[str, tuple[Any, bool]], value: Any, what: str) -> dict[str, Any]:
    """The fields of an object."""
    _check(value, dict, "an object", what)
    for name in value:
        if name not in fields:
            raise ReadError(f"[{what}] got {name!r}, expected one of {', '.join(fields) or 'nothing'}")
    found = {}
    for name, (kind, is_required) in fields.items():
        if name in value:
            found[name] = read(kind, value[name], f"{what}.{name}")
        elif is_required:
            raise ReadError(f"[{what}.{name}] got nothing, expected {_words_of(kind)}")
    return found


def fields_of_function(function: Callable[..., Any]) -> dict[str, tuple[Any, bool]]:
    """The arguments of a function: by name its type and whether it has no default."""
    hints = typing.get_type_hints(function, include_extras=True)
    fields = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise TypeError(f"[tool] got the parameter {parameter}, expected plain names")
        fields[name] = (hints.get(name, Any), parameter.default is parameter.empty)
    return fields


def to_json(value: Any) -> Any:
    """A value as json.dumps takes it: dataclasses and enums, too."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, dict):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(one) for one in value]
    return value


def _is_list(kind: Any, origin: Any) -> bool:
    return kind in (list, set, frozenset) or origin in (list, set, frozenset, Sequence)


def _fields_of(kind: Any) -> dict[str, tuple[Any, bool]] | None:
    """Of a dataclass or a TypedDict."""
    if not isinstance(kind, type):
        return None
    hints = typing.get_type_hints(kind, include_extras=True)
    if dataclasses.is_dataclass(kind):
        return {
            field.name: (
                hints[field.name],
                field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
            )
            for field in dataclasses.fields(kind)
            if field.init
        }
    if typing.is_typeddict(kind):
        required: frozenset[str] = getattr(kind, "__required_keys__", frozenset())
        return {name: (hint, name in required) for name, hint in hints.items()}
    return None


def _read_plain(kind: type, value: Any, what: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise ReadError(f"[{what}] got {_name_of(value)}, expected {_words_of(kind)}")
    return value


def _read_union(kinds: Sequence[Any], value: Any, what: str) -> Any:
    errors = []
    for kind in kinds:
        try:
            return read(kind, value, what)
        except ReadError as error:
            errors.append(error)
    raise next((error for error, kind in zip(errors, kinds, strict=True) if kind is not type(None)), errors[0])


def _read_items(kind: Any, value: Any, what: str) -> Any:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    _check(value, list, "an array", what)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis) and arguments:
        if len(value) != len(arguments):
            raise ReadError(f"[{what}] got {len(value)} values, expected {len(arguments)}")
        return tuple(
            read(one, item, f"{what}[{i}]") for i, (one, item) in enumerate(zip(arguments, value, strict=True))
        )
    inner = arguments[0] if arguments else Any
    items = [read(inner, item, f"{what}[{i}]") for i, item in enumerate(value)]
    return items if origin in (list, Sequence) else origin(items)


def _check(value: Any, kind: type, words: str, what: str) -> None:
    if not isinstance(value, kind):
        raise ReadError(f"[{what}] got {_name_of(value)}, expected {words}")


_KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "a number", float: "a number"}


def _name_of(value: Any) -> str:
    return _KINDS.get(type(value), "null")


def _words_of(kind: Any) -> str:
    words = {str: "a string", bool: "true or false", int: "a whole number", float: "a number", type(None): "null"}
    if get_origin(kind) is typing.Annotated:
        return _words_of(get_args(kind)[0])
    return words.get(kind, "a value") if not _is_list(kind, get_origin(kind)) else "an array"
