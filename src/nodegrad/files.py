"""Files that are written as a whole or not at all, and JSON files that notice damage."""

import base64
import hashlib
import json
import math
import os
import secrets
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any

__all__ = ()

_NOT_FINITE = ("nan", "inf", "-inf")
_LONG = 1_000  # floats: nobody reads a list of this many
_OLD = 600.0  # seconds; a younger unfinished file may still be written


def replace_file(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file in one step: whoever reads it sees the old content or the new, never a part.

    The content goes to a new file in the same folder first, which then takes the place of the old one and
    keeps its permissions. Threads and processes may write to one path: the last one wins.
    A device or a pipe (`/dev/stdout`) is not replaced, but written to.

    Raises:
        OSError: if the folder is missing or cannot be written to; the old file is untouched then.
    """
    content = content.encode() if isinstance(content, str) else content
    if Path(path).exists() and not Path(path).is_file():
        Path(path).write_bytes(content)
        return
    path = Path(path).resolve()  # through a symbolic link, which stays one
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.chmod(beside, path.stat().st_mode & 0o7777)
        os.replace(beside, path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename:
            error.filename = str(path)  # the file that was asked for
        raise
    _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    """Remove unfinished files that killed processes left in the same folder some time ago."""
    for part in path.parent.glob(f".{escape(path.name)}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _OLD:
                part.unlink()


def save_json(path: str | os.PathLike[str], kind: str, version: int, content: dict[str, Any]) -> None:
    """Write readable JSON that says what it is, with a checksum; its floats come back to the bit."""
    head = {"format": kind, "version": version, "checksum": _checksum(content)}
    replace_file(path, json.dumps(head | content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def load_json(path: str | os.PathLike[str], user: str, kind: str, version: int) -> dict[str, Any]:
    """Return the content of a file that `save_json` wrote.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is damaged or not of this kind and version.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{user}: {path} is not a {kind} file, or is damaged: {error}.") from error
    if not isinstance(content, dict) or content.pop("format", None) != kind:
        raise ValueError(f"{user}: {path} is not a {kind} file: its format is not {kind!r}.")
    found, checksum = content.pop("version", None), content.pop("checksum", None)
    if found != version:
        raise ValueError(
            f"{user}: {path} is a {kind} file of version {found!r}; this nodegrad reads version {version}."
        )
    if checksum != _checksum(content):
        raise ValueError(
            f"{user}: {path} is damaged: its checksum does not fit its content. (If you edited the file, "
            f"write {_checksum(content)!r} as its checksum.)"
        )
    return content


def written(content: Any) -> Any:
    """Return numbers, lists and dicts as JSON can hold them: nan and inf become text.

    Long lists of floats are packed: see `packed`.

    Raises:
        TypeError: for anything that `read` would not give back as it is (except that tuples become lists).
    """
    if isinstance(content, list | tuple):
        if len(content) >= _LONG and {*map(type, content)} == {float}:
            return packed(content)
        return [written(entry) for entry in content]
    if isinstance(content, dict) and all(isinstance(name, str) for name in content):
        return {name: written(entry) for name, entry in content.items()}
    if isinstance(content, float):
        return content if math.isfinite(content) else str(content)
    if getattr(content, "shape", None) == ():  # a NumPy scalar
        return written(content.item())
    if not isinstance(content, int | str | None) or content in _NOT_FINITE:
        raise TypeError(
            f"a file holds numbers, texts, lists, and dicts whose keys are texts; {content!r:.60} is none of "
            "these, or the text of a number."
        )
    return content


def read(content: Any) -> Any:
    """Undo `written`.

    >>> read(written([math.inf, 0.1]))
    [inf, 0.1]
    """
    if isinstance(content, list):
        return [read(entry) for entry in content]
    if isinstance(content, dict):
        if content.keys() == {"float64"}:
            numbers = base64.b64decode(content["float64"], validate=True)
            return [*struct.unpack(f"<{len(numbers) // 8}d", numbers)]
        return {name: read(entry) for name, entry in content.items()}
    return float(content) if content in _NOT_FINITE else content


def packed(numbers: Sequence[float]) -> dict[str, str]:
    """Pack floats into text: base64 of little-endian float64.

    It is a sixth as long as the numbers in JSON, and takes a hundredth of the time.

    >>> packed([1.0, -0.5])
    {'float64': 'AAAAAAAA8D8AAAAAAADgvw=='}
    """
    return {"float64": base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()}


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
