"""What can go wrong, as exceptions.

A connection that is refused, reset or lost is Python's own :class:`ConnectionError`, not one of
these.
"""

from __future__ import annotations

from pie import _native


class PieError(Exception):
    """Something that the server or the client refused; the text says what and why."""


class AuthenticationError(PieError):
    """The server does not accept who the client says it is, or does not let it do this."""


class InvalidKeyError(AuthenticationError, ValueError):
    """A private key is damaged, too weak, of an unsupported kind, or its passphrase is wrong."""


class NotFoundError(PieError):
    """What was named does not exist, or is not the user's to see."""


class ProgramError(PieError):
    """The server does not take, or cannot start, a program."""


class ProtocolError(PieError):
    """The server sent something that does not fit the protocol (a blob with a wrong hash)."""


class PieTimeoutError(PieError, TimeoutError):
    """Something took longer than it was given."""


_BY_CODE: dict[str, type[Exception]] = {
    "not_found": NotFoundError,
    "permission_denied": AuthenticationError,
    "timeout": PieTimeoutError,
    "corrupt": ProtocolError,
    "unavailable": ConnectionError,
}


def error_from(info: _native.ErrorInfo, otherwise: type[PieError] = PieError) -> Exception:
    """Makes the exception for an error of the C++ client."""
    return _BY_CODE.get(info.code, otherwise)(info.message)
