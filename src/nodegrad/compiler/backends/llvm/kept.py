"""Native code of saved functions, kept in the user's own cache for this machine.

Files that people exchange hold programs, never machine code. What is kept here is found by a digest of the
program, of this library and of the machine. A file is used only if it is a plain file, this user owns it and
its folder, nobody else may write to them, and its checksum holds; anything else is compiled again.
"""

import hashlib
import os
import stat
import sys
from array import array
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from nodegrad.compiler.backends.llvm import native
from nodegrad.compiler.backends.llvm.fuse import Records
from nodegrad.compiler.backends.llvm.plan import Plan
from nodegrad.files import replace_file

__all__ = ()

_MOST = 500  # files; the ones not used for longest go first
_NO_FOLDER = (OSError, RuntimeError)  # the latter where the user has no home
_DIGEST = hashlib.sha256().digest_size
# A link is not followed, and a pipe not waited for. Windows has neither flag, but has one for bytes.
_FLAGS = os.O_RDONLY | sum([getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")])


def read(key: str) -> tuple[Plan, bytes] | None:
    """Return the plan and the machine code kept by a key; None if there is none that can be trusted."""
    try:
        path = _path(key)
        with open(os.open(path, _FLAGS), "rb") as file:
            found = os.fstat(file.fileno())
            if not (stat.S_ISREG(found.st_mode) and _is_ours(found) and _is_ours(path.parent.stat())):
                return None
            content = file.read()
        os.utime(path)
    except _NO_FOLDER:
        return None
    if content[:_DIGEST] != _checksum(key, content[_DIGEST:]):
        return None
    return _unpacked(content[_DIGEST:])


def write(key: str, plan: Plan, code: bytes) -> None:
    """Keep a plan and its machine code, if there is a folder for it."""
    content = _packed(plan, code)
    with suppress(*_NO_FOLDER):
        path = _path(key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(path.parent.stat()):
            return
        path.unlink(missing_ok=True)  # a link would be followed, and open permissions kept
        replace_file(path, _checksum(key, content) + content)
        path.chmod(0o600)
        for old in sorted(path.parent.iterdir(), key=lambda each: -each.stat().st_mtime)[_MOST:]:
            old.unlink()


def _path(key: str) -> Path:
    return _folder() / hashlib.sha256(f"{key} {_library()} {native.machine()}".encode()).hexdigest()


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


# A file: the checksum, the sizes of all arrays that follow, the arrays.

_KINDS = (np.int64, np.float64, np.int64, np.int64, np.int64, np.int64, np.int32, np.uint8)


def _packed(plan: Plan, code: bytes) -> bytes:
    slots, records = (plan.inputs, plan.parameters, plan.varying, plan.uniform), plan.records
    sizes = *slots, plan.lanes, plan.size, plan.work, len(records.kinds), *plan.starts
    arrays: list[Any] = [sizes, plan.constants, plan.outputs]
    arrays += [records.words, records.starts, records.kind, records.tables, np.frombuffer(code, np.uint8)]
    found = [np.array(each, kind) for each, kind in zip(arrays, _KINDS, strict=True)]
    return np.array([*map(len, found)], np.int64).tobytes() + b"".join(each.tobytes() for each in found)


def _unpacked(content: bytes) -> tuple[Plan, bytes]:
    start = 8 * len(_KINDS)
    arrays: list[Any] = []
    for kind, count in zip(_KINDS, np.frombuffer(content[:start], np.int64).tolist(), strict=True):
        arrays.append(np.frombuffer(content, kind, count, start))
        start += arrays[-1].nbytes
    sizes, constants, outputs, *rest, code = arrays
    *sizes, kernels, sums, body, once, last = sizes.tolist()
    records, make = Records(), cast(Any, Plan)
    records.kinds = dict.fromkeys([(None, number) for number in range(kernels)], 0)
    records.words, records.starts, records.kind, records.tables = (
        array(code, each.tobytes()) for code, each in zip("qqqi", rest, strict=True)
    )
    return make(*sizes, constants.tolist(), outputs, records, (sums, body, once, last)), code.tobytes()
