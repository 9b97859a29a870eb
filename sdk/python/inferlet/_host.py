"""The host's interfaces, by short names, and how the SDK calls them.

Values of a wrong type would end the instance inside of the bindings, without a line of the
program's: everything that a program gives is checked here first. What the host refuses is an
`InferletError`.
"""

from __future__ import annotations

import array
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from componentize_py_types import Err
from wit_world.imports import inferlet_core_common as common
from wit_world.imports import inferlet_core_forward as forward
from wit_world.imports import inferlet_core_kvs as kvs
from wit_world.imports import inferlet_core_message as message
from wit_world.imports import inferlet_core_runtime as runtime
from wit_world.imports import inferlet_core_tokenize as tokenize
from wit_world.imports import pie_chat_conversation_0_1_0 as conversation
from wit_world.imports import pie_chat_template_0_1_0 as template
from wit_world.imports import pie_context_snapshot_0_1_0 as snapshot
from wit_world.imports import pie_decode_generate_0_1_0 as decode
from wit_world.imports import pie_grammar_grammar_0_1_0 as grammar
from wit_world.imports import pie_logits_logits_0_1_0 as logits
from wit_world.imports import pie_model_info_0_1_0 as info
from wit_world.imports import wasi_http_outgoing_handler_0_2_4 as http_handler
from wit_world.imports import wasi_http_types_0_2_4 as http_types
from wit_world.imports import wasi_io_poll_0_2_4 as poll
from wit_world.imports import wasi_io_streams_0_2_4 as streams

__all__ = [
    "Err", "InferletError", "call", "common", "conversation", "decode", "forward", "grammar", "http_handler",
    "http_types", "info", "kvs", "logits", "message", "poll", "real", "runtime", "snapshot", "streams", "template",
    "text", "tokenize", "tokens", "whole",
]  # fmt: skip

_Parameters = ParamSpec("_Parameters")
_Value = TypeVar("_Value")
_U32_MAX = (1 << 32) - 1


class InferletError(RuntimeError):
    """What the host, or the SDK in its place, refuses: `[what] got X, expected Y`."""


def call(function: Callable[_Parameters, _Value], *args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Value:
    """Calls the host; its refusal is an InferletError."""
    try:
        return function(*args, **kwargs)
    except Err as error:
        reason = error.value
    raise InferletError(reason if isinstance(reason, str) else f"[host] got {reason!r}")


def text(what: str, value: object) -> str:
    """A string that UTF-8 has a form for."""
    if not isinstance(value, str):
        raise TypeError(f"[{what}] got {type(value).__name__}, expected str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"[{what}] got half a character (a surrogate) at {error.start}, expected whole ones") from None
    return str(value)


def whole(what: str, value: object, low: int = 0, high: int = _U32_MAX) -> int:
    """A whole number within bounds, both included."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"[{what}] got {type(value).__name__}, expected int")
    number = int(value.__index__())
    if not low <= number <= high:
        raise ValueError(f"[{what}] got {number}, expected {low} to {high}")
    return number


def real(what: str, value: object, low: float = float("-inf"), high: float = float("inf")) -> float:
    """A number within bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"[{what}] got {type(value).__name__}, expected float")
    number = float(value)
    if not low <= number <= high:
        raise ValueError(f"[{what}] got {number}, expected {low} to {high}")
    return number


def tokens(what: str, values: Iterable[int]) -> list[int]:
    """Token ids, as a list of one's own."""
    if isinstance(values, str | bytes):
        raise TypeError(f"[{what}] got {type(values).__name__}, expected a list of token ids")
    try:
        return array.array("I", values).tolist()
    except TypeError:
        raise TypeError(f"[{what}] got {type(values).__name__}, expected a list of token ids (int)") from None
    except OverflowError:
        raise ValueError(f"[{what}] got a number out of range, expected token ids from 0 to {_U32_MAX}") from None
