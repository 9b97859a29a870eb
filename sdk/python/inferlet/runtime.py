"""The instance itself: who it is, what it was given, what it gives."""

from __future__ import annotations

import json
import sys
from typing import Any

from inferlet import _host as host

_RETURN_BYTES_MAX = 16 << 20


def server_version() -> str:
    """The server's version."""
    return host.runtime.get_version()


def instance_id() -> str:
    """By which clients attach to this instance."""
    return host.runtime.get_instance_id()


def arguments() -> list[str]:
    """What the instance was launched with; `sys.argv[1:]` unless the program changed that."""
    return list(host.runtime.get_arguments())


def set_return(value: Any) -> None:
    """Sets the message of the Completed event: text as it is, everything else as JSON.

    What `main` returns does the same.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = host.text("set_return", text)
    if len(text.encode()) > _RETURN_BYTES_MAX:
        raise host.InferletError(f"[set_return] got {len(text.encode())} bytes, expected at most {_RETURN_BYTES_MAX}")
    host.runtime.set_return(text)


def program_file(path: str) -> bytes:
    """A file of the program, by its path in the folder or ZIP that it was made of."""
    from pie_runtime.importer import Archive

    name = host.text("program_file", path)
    for finder in sys.meta_path:
        if isinstance(finder, Archive):
            if name not in finder.names:
                raise FileNotFoundError(f"[program_file] got {name!r}, which is not in the program")
            return finder.read(name)
    raise FileNotFoundError("[program_file] the program has no files")
