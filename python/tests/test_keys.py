"""Private keys, as ssh-keygen and openssl write them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pie import InvalidKeyError, ParsedPrivateKey, PieError


def make_key(path: Path, *options: str, passphrase: str = "") -> Path:
    subprocess.run(
        ["ssh-keygen", "-q", *options, "-N", passphrase, "-f", str(path)],
        check=True,
    )
    return path


def test_from_file_expands_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    make_key(tmp_path / ".ssh" / "id_ed25519", "-t", "ed25519")
    key = ParsedPrivateKey.from_file("~/.ssh/id_ed25519")
    assert key.kind == "Ed25519"
    assert len(key.sign(b"challenge")) == 64


def test_an_encrypted_key_takes_its_passphrase(tmp_path: Path) -> None:
    file = make_key(tmp_path / "k", "-t", "rsa", "-b", "2048", "-a", "1", passphrase="secret")
    assert ParsedPrivateKey.from_file(file, passphrase="secret").bits == 2048
    with pytest.raises(InvalidKeyError, match=r"k: .*no passphrase"):
        ParsedPrivateKey.from_file(file)
    with pytest.raises(InvalidKeyError, match="wrong passphrase"):
        ParsedPrivateKey.from_file(file, "wrong")


def test_a_key_that_will_not_do_says_which_and_why(tmp_path: Path) -> None:
    weak = make_key(tmp_path / "weak", "-t", "rsa", "-b", "1024")
    with pytest.raises(PieError, match=r"weak: .*1024 bits, expected 2048"):
        ParsedPrivateKey.from_file(weak)
    with pytest.raises(InvalidKeyError, match="public key"):
        ParsedPrivateKey.parse(Path(f"{weak}.pub").read_text())
    with pytest.raises(FileNotFoundError):
        ParsedPrivateKey.from_file(tmp_path / "missing")
