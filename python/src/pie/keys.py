"""SSH private keys for authentication."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

from pie import _native
from pie.errors import InvalidKeyError


class ParsedPrivateKey:
    """A private key: RSA (2048 bits or more), Ed25519, or ECDSA on P-256 or P-384.

    OpenSSH's own format, PKCS#8, PKCS#1 and SEC1 PEM are understood, encrypted ones too.
    """

    def __init__(self, native: _native.PrivateKey) -> None:
        """Use :meth:`parse` or :meth:`from_file`."""
        self._native = native

    @classmethod
    def parse(cls, text: str | bytes, passphrase: str | None = None) -> ParsedPrivateKey:
        """Parses the text of a key file.

        Raises InvalidKeyError, which says what is wrong with it.
        """
        if isinstance(text, bytes):
            text = text.decode("utf-8", errors="replace")
        parsed = _native.parse_key(text, passphrase)
        if isinstance(parsed, _native.ErrorInfo):
            raise InvalidKeyError(parsed.message)
        return cls(parsed)

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], passphrase: str | None = None
    ) -> ParsedPrivateKey:
        """Reads a key file; ``~`` is expanded.

        Raises OSError (FileNotFoundError and so on) or InvalidKeyError, which names the file.
        """
        file = Path(path).expanduser()
        try:
            return cls.parse(file.read_bytes(), passphrase)
        except InvalidKeyError as e:
            raise InvalidKeyError(f"{file}: {e}") from None

    @property
    def kind(self) -> str:
        """``"Ed25519"``, ``"RSA"``, ``"ECDSA P-256"`` or ``"ECDSA P-384"``."""
        return self._native.kind

    @property
    def bits(self) -> int:
        """The size of the RSA modulus or of the curve's field."""
        return self._native.bits

    def sign(self, message: bytes) -> bytes:
        """Signs a message the way the protocol wants it for this kind of key."""
        signature = self._native.sign(message)
        if isinstance(signature, _native.ErrorInfo):
            raise InvalidKeyError(signature.message)
        return signature

    def __reduce__(self) -> NoReturn:
        """Not to be pickled or copied: a secret does not travel by accident."""
        raise TypeError("a ParsedPrivateKey cannot be pickled or copied: parse it where it is used")

    def __repr__(self) -> str:
        """Names the kind; never the secret."""
        return f"<ParsedPrivateKey {self.kind}, {self.bits} bits>"
