"""
The site's secret key: made once, kept in a file that only its owner can read.

    key = site_key(settings.state_path)
    hand_on(state, another)                        the same key for another state, where that has none yet
    account_key(key, "Anna@Contoso.example")      the same for every spelling of the name

An account key links failed sign-ins to a later success without showing the name. It is useless without the file.

What goes wrong
    ReportError when the file cannot be made or read.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from fcntl import LOCK_EX, LOCK_SH, flock
from hashlib import blake2b
from pathlib import Path

from smtp_auth_report.errors import ReportError
from smtp_auth_report.words import why, worded


def site_key(state: Path) -> bytes:
    """Key beside the state file, made on first use with mode 0600."""
    path = _beside(state)
    try:
        kept = _kept(path) or _put(path, f"{secrets.token_hex(32)}\n".encode())
        key = bytes.fromhex(kept.decode("ascii"))
    except ValueError as error:
        raise ReportError(worded("{path}: the site's key cannot be read: {error}", path=path, error=error)) from None
    if len(key) != 32:
        raise ReportError(
            worded("{path}: the site's key is damaged; restore the file from a backup, or remove it to start with a new one", path=path)
        )
    return key


def _beside(state: Path) -> Path:
    return state.with_name(state.name + ".key")


def _kept(path: Path) -> bytes:
    """What the file has; nothing where there is none, or where who made it was killed before it wrote."""
    try:
        with path.open("rb") as file:
            flock(file, LOCK_SH)
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ReportError(worded("{path}: the site's key cannot be read: {error}", path=path, error=error)) from None


def _put(path: Path, key: bytes) -> bytes:
    """Write this, unless another process was first; what the file has then."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            flock(file, LOCK_EX)
            if there := file.read():
                return there
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
            return key
    except OSError as error:
        raise ReportError(
            worded("{path}: cannot make the site's key: {reason}; choose another place with --database", path=path, reason=why(error))
        ) from None


def account_key(key: bytes, account: str) -> str:
    """Keyed hash of the case-folded name, 16 hexadecimal digits."""
    return blake2b(account.casefold().encode("utf-8", "surrogateescape"), key=key, digest_size=8).hexdigest()


def seal(key: bytes, account_key: str, name: str) -> str:
    """A name that only this site can read again. `account_key` is the name's own, so no two names share a key stream."""
    content = name.encode("utf-8", "surrogatepass")
    return _crossed(key, account_key, content).hex()


def unseal(key: bytes, account_key: str, sealed: str) -> str:
    """The name again."""
    return _crossed(key, account_key, bytes.fromhex(sealed)).decode("utf-8", "surrogatepass")


def _crossed(key: bytes, account_key: str, content: bytes) -> bytes:
    stream = hashlib.shake_256(b"withheld" + key + account_key.encode()).digest(len(content))
    return bytes(one ^ other for one, other in zip(content, stream, strict=True))


def hand_on(state: Path, another: Path) -> None:
    """Let another state have the key of this one, so that accounts go on being told apart by the same."""
    key, other = _beside(state), _beside(another)
    kept = _kept(key)
    if kept and (_kept(other) or _put(other, kept)) != kept:
        raise ReportError(
            worded("{other} is another key than {key}, by which accounts are told apart; name one state with --state", other=other, key=key)
        )
