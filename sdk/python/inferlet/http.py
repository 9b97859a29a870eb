"""Requests to other servers, where the operator allows them (`http_allow`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from componentize_py_types import Ok, Some

from inferlet import _host as host
from pie_runtime.event_loop import ready

_CHUNK = 64 << 10
_WRITE_MAX = 4096


class HttpError(host.InferletError):
    """A request that failed; the text is the host's reason."""


@dataclass(frozen=True)
class Response:
    """What came back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


async def fetch(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes | str | None = None,
    json_body: Any = None,
    timeout: float | None = None,
    body_bytes_max: int = 64 << 20,
) -> Response:
    """Sends a request over http or https and waits for all of the answer.

    Redirects are not followed. What fails is an HttpError, what takes more than `timeout` seconds a
    TimeoutError.
    """
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if json_body is not None:
        body = json.dumps(json_body)
        pairs.append(("content-type", "application/json"))
    content = body.encode() if isinstance(body, str) else body
    if content is not None and not isinstance(content, bytes):
        raise TypeError(f"[fetch] got a body of {type(body).__name__}, expected bytes or str")
    request = _request(host.text("url", url), host.text("method", method), pairs)
    async with asyncio.timeout(timeout):
        return await _exchange(request, content, host.whole("body_bytes_max", body_bytes_max, 0, 1 << 30))


def _request(url: str, method: str, headers: Iterable[tuple[str, str]]) -> host.http_types.OutgoingRequest:
    http = host.http_types
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ValueError(f"[fetch] got the URL {url!r}, expected http://... or https://...")
    entries = [(host.text("header", name), host.text("header", value).encode()) for name, value in headers]
    try:
        request = http.OutgoingRequest(http.Fields.from_list(entries))
    except host.Err as error:
        raise HttpError(f"[fetch] got headers that are refused: {type(error.value).__name__}") from None
    known = getattr(http, f"Method_{method.capitalize()}", None)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        request.set_method(known() if known else http.Method_Other(method))
        request.set_scheme(http.Scheme_Https() if parts.scheme == "https" else http.Scheme_Http())
        request.set_authority(parts.netloc.rpartition("@")[2])
        request.set_path_with_query(path)
    except host.Err:
        raise HttpError(f"[fetch] got {method} {url!r}, which is no request") from None
    return request


async def _exchange(request: host.http_types.OutgoingRequest, content: bytes | None, limit: int) -> Response:
    http = host.http_types
    sent = request.body()
    try:
        coming = host.http_handler.handle(request, None)
        if content:
            await _write(sent, content)
        http.OutgoingBody.finish(sent, None)
        with coming:
            await ready(coming.subscribe())
            answer: Any = coming.get()
    except host.Err as error:
        raise HttpError(f"[fetch] {_words(error.value)}") from None
    # option<result<result<response, error-code>>>: ready, taken once, and perhaps failed.
    while isinstance(answer, Ok | Some):
        answer = answer.value
    if isinstance(answer, host.Err):
        raise HttpError(f"[fetch] {_words(answer.value)}")
    with answer:
        fields = answer.headers()
        found = [(name, bytes(value).decode("latin-1")) for name, value in fields.entries()]
        return Response(answer.status(), found, await _read(answer, limit))


async def _write(body: host.http_types.OutgoingBody, content: bytes) -> None:
    with body.write() as stream:
        sent = 0
        while sent < len(content):
            room = stream.check_write()
            if room == 0:
                await ready(stream.subscribe())
                continue
            piece = content[sent : sent + min(room, _WRITE_MAX)]
            stream.write(piece)
            sent += len(piece)
        stream.flush()


async def _read(answer: host.http_types.IncomingResponse, limit: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    with answer.consume() as body, body.stream() as stream:
        while True:
            try:
                piece = stream.read(_CHUNK)
            except host.Err as error:
                if isinstance(error.value, host.streams.StreamError_Closed):
                    return b"".join(pieces)
                raise HttpError("[fetch] the body broke off") from None
            if not piece:
                await ready(stream.subscribe())
                continue
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                raise HttpError(f"[fetch] got a body of more than {limit} bytes, which body_bytes_max allows")


def _words(code: Any) -> str:
    name = type(code).__name__.removeprefix("ErrorCode_")
    value = getattr(code, "value", None)
    return f"{name}: {value}" if value is not None else name
