"""The key-value store of the user: text under names, kept when the instance ends."""

from __future__ import annotations

from inferlet import _host as host

_KEY_BYTES_MAX = 1 << 10
_VALUE_BYTES_MAX = 1 << 20


def _sized(what: str, value: object, limit: int) -> str:
    text = host.text(what, value)
    size = len(text.encode())
    if size > limit:
        raise host.InferletError(f"[{what}] got {size} bytes, expected at most {limit}")
    return text


def _key(key: object) -> str:
    return _sized("kvs key", key, _KEY_BYTES_MAX)


def get(key: str) -> str | None:
    """What is kept under the key."""
    return host.kvs.store_get(_key(key))


def set(key: str, value: str) -> None:
    """Keeps a text of at most 1 MiB."""
    host.kvs.store_set(_key(key), _sized("kvs value", value, _VALUE_BYTES_MAX))


def delete(key: str) -> None:
    """Forgets the key."""
    host.kvs.store_delete(_key(key))


def exists(key: str) -> bool:
    """Whether something is kept under the key."""
    return host.kvs.store_exists(_key(key))


def keys() -> list[str]:
    """All of them."""
    return list(host.kvs.store_list_keys())
