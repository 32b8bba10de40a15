"""The vault: bytes encrypted at rest, and the keys that open them again.

Law: it knows keys and bytes, not what the bytes mean or where they are kept. No key and no clear byte is in any error,
and a key is made only to seal something: never where something is to be opened, for it would open nothing.

Sealed bytes are ASCII: `penstock1:1a2b3c4d:…`, a mark, the id of the key (so that a wrong key can be told from damage),
and a Fernet token (AES-128-CBC with HMAC-SHA256).
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
from codecs import BOM_UTF8
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .domain.errors import ConfigurationError, DecryptionError

_MARK = b"penstock1"
_SEALED = re.compile(_MARK + rb":([0-9a-f]{8}):(.+)", re.DOTALL)
_SETTING = "PENSTOCK_ENCRYPTION_KEY"
_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
_SEPARATORS = re.compile(r"[,\s]+")
_FORM = "32 random bytes in URL-safe base64 (44 characters), as `penstock block key` makes them"


class Key(NamedTuple):
    """`id` is a fingerprint, and may be shown; `text` may not."""

    id: str
    text: str

    def __repr__(self) -> str:
        return f"<Key {self.id}>"


class Vault:
    """Seals bytes and opens them again.

    `given` are keys as text, several separated by commas: the first seals, all open. Without, the key file at `path`
    seals; it is made when it is first needed, and may hold several keys, one a line. Keys in it open also where others
    are given, so one can move from the file to a given key.
    """

    def __init__(self, path: Path, given: str | None = None) -> None:
        self.path = path
        self._given = given

    def seal(self, data: bytes) -> bytes:
        """The bytes encrypted, with the key's id. Raises `ConfigurationError` where there is no usable key."""
        from cryptography.fernet import Fernet

        key = (self._given_keys() or self._file_keys() or self._made())[0]
        return b":".join((_MARK, key.id.encode(), Fernet(key.text).encrypt(data)))

    def open(self, sealed: bytes, what: str = "The value") -> bytes:
        """What was sealed. `what` begins the sentence of an error.

        Raises `DecryptionError` where no key here opens it or it is damaged, `ConfigurationError` for a broken key.
        """
        from cryptography.fernet import Fernet, InvalidToken

        parts = _SEALED.fullmatch(sealed)
        if parts is None:
            raise DecryptionError(f"{what} is damaged: it is not what Penstock encrypts values to.")
        key = self._key_of(parts[1].decode(), what)
        try:
            return Fernet(key.text).decrypt(parts[2])
        except InvalidToken:
            raise DecryptionError(f"{what} is damaged: it was changed after it was encrypted.") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether the key that sealed this is the one that seals now."""
        keys = self._given_keys() or self._file_keys()
        return bool(keys) and sealed.startswith(b":".join((_MARK, keys[0].id.encode(), b"")))

    def _key_of(self, id: str, what: str) -> Key:
        for keys in (self._given_keys, self._file_keys):
            for key in keys():
                if key.id == id:
                    return key
        raise DecryptionError(f"{what} was encrypted with the key {id}, {self._lacking()}")

    def _lacking(self) -> str:
        there, given = self.path.exists(), self._given is not None
        if not given and there:  # What is in the file now may have sealed something, too.
            return f"which is not in {self.path}. Add it there, as a line of its own, or give it as {_SETTING}."
        if not given:
            return (
                f"and there is no key file {self.path}. Put the file back from a backup, or give the key as {_SETTING}."
            )
        if there:
            return f"which is neither in {_SETTING} nor in {self.path}. Add it to {_SETTING}."
        return f"which is not in {_SETTING}, and there is no key file {self.path}. Add it to {_SETTING}."

    def _given_keys(self) -> list[Key]:
        return [] if self._given is None else _keys(self._given, _SETTING)

    def _file_keys(self) -> list[Key]:
        """The key file's keys; none when there is no such file."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                content = file.read(1 << 16)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ConfigurationError(f"The key file {self.path} cannot be read: {error.strerror or error}.") from None
        # As ssh has it. Another's file (a mounted one) has the mode that its owner chose.
        if os.name == "posix" and status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigurationError(
                f"The key file {self.path} can be read or changed by others (mode {stat.S_IMODE(status.st_mode):04o}). "
                f"Run `chmod 600 {self.path}`; whoever has read it can open every secret, so think of a new key."
            )
        # Some editors put a mark before what they save as UTF-8.
        return _keys(content.removeprefix(BOM_UTF8).decode("ascii", "replace"), f"The key file {self.path}")

    def _made(self) -> list[Key]:
        """A new key in the key file; that of another process when it was faster."""
        from cryptography.fernet import Fernet

        # Written whole under another name, then linked: a reader finds no file or all of it, and one link wins.
        draft = self.path.with_name(f".{self.path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                _write(draft, Fernet.generate_key() + b"\n")
                with suppress(FileExistsError):
                    os.link(draft, self.path)
                _sync(self.path.parent)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"The key file {self.path} cannot be made: {error.strerror or error}. Make its folder writable, or "
                f"give a key as {_SETTING}."
            ) from None
        found = self._file_keys()
        if not found:
            raise ConfigurationError(
                f"The key file {self.path} cannot be made: there is a link of this name that leads nowhere. Put back "
                f"the file that it is to lead to, or give a key as {_SETTING}."
            )
        return found


def new_key() -> str:
    """A key for PENSTOCK_ENCRYPTION_KEY."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _keys(text: str, where: str) -> list[Key]:
    written = [each for each in _SEPARATORS.split(text) if each]
    if not written:
        raise ConfigurationError(f"{where} is empty; it must hold a key: {_FORM}.")
    for place, each in enumerate(written, start=1):
        if not _KEY.fullmatch(each):
            which = f", number {place} of {len(written)}," if len(written) > 1 else ""
            raise ConfigurationError(f"{where}: what it holds{which} is not a key. A key is {_FORM}.")
    return [Key(hashlib.sha256(base64.urlsafe_b64decode(each)).hexdigest()[:8], each) for each in written]


def _write(path: Path, content: bytes) -> None:
    """A new file that only its owner may read, on the disk when this returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """The folder's new entry is on the disk: what is sealed must not outlive its key."""
    with suppress(OSError):  # Windows opens no folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
