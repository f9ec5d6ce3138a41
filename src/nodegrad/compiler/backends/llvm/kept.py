"""Native code kept in the user's own cache for this machine, for the next process.

Files that people exchange hold programs, never machine code. What is kept here is found by a digest of its IR
(or, of a saved function, its program), of this library and of the machine. A file is used only if it is a
plain file, this user owns it and its folder, nobody else may write to them, and its checksum holds; anything
else is compiled again.
"""

import hashlib
import os
import secrets
import stat
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ()

_MOST = 500  # files; the ones not used for longest go first
_NO_FOLDER = (OSError, RuntimeError)  # the latter where the user has no home
_DIGEST = hashlib.sha256().digest_size
# A link is not followed, and a pipe not waited for. Windows has neither flag, but has one for bytes.
_FLAGS = sum([getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")])
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def read(key: str) -> bytes | None:
    """Return what is kept by a key; None if there is nothing that can be trusted."""
    try:
        path = _path(key)
        with open(os.open(path, os.O_RDONLY | _FLAGS), "rb") as file:
            found = os.fstat(file.fileno())
            if not (stat.S_ISREG(found.st_mode) and _is_ours(found) and _is_ours(path.parent.stat())):
                return None
            content = file.read()
        os.utime(path)
    except _NO_FOLDER:
        return None
    return content[_DIGEST:] if content[:_DIGEST] == _checksum(key, content[_DIGEST:]) else None


def write(key: str, content: bytes) -> None:
    """Keep something by a key that says all it depends on, if there is a folder for it."""
    with suppress(*_NO_FOLDER):
        path = _path(key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent.stat()):
            return
        # Not `replace_file`: a link would be followed, open permissions kept, and the disk waited for.
        beside = path.with_name(secrets.token_hex(_DIGEST))
        try:
            with open(os.open(beside, _NEW, 0o600), "wb") as file:
                file.write(_checksum(key, content) + content)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
        files = [*path.parent.iterdir()]
        if len(files) > _MOST:
            for old in sorted(files, key=lambda each: -each.stat().st_mtime)[_MOST:]:
                old.unlink()


def _path(key: str) -> Path:
    return _folder() / hashlib.sha256(f"{_library()} {key}".encode()).hexdigest()


def _folder() -> Path:
    """Return where this user's programs keep what they can make again.

    Relative paths are ignored, as the XDG Base Directory Specification says.
    """
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named) / "nodegrad"
    home = Path.home()
    usual = {"win32": home / "AppData" / "Local", "darwin": home / "Library" / "Caches"}
    found = usual.get(sys.platform, home / ".cache") / "nodegrad"
    if not found.is_absolute():
        raise RuntimeError("the user's home is a relative path")
    return found


@cache
def _library() -> str:
    """Tell this compiler from an edited one or another version."""
    folders = Path(__file__).parents[:3]
    files = [file for folder in folders for file in os.scandir(folder) if file.name.endswith(".py")]
    return repr(sorted([(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]))


def _is_ours(found: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):
        return True  # on Windows only the user can write to it
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _checksum(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + content).digest()
