"""Whether a file is what was left of it when it was last closed, or may have been set back since: put there from a
backup, or left by a process that was killed, which looks the same.

Beside a file that is not open lies a note of its inode and of when that last changed: restoring a file in whatever way
changes one of them, and nobody can set the second.
"""

from __future__ import annotations

import os
from pathlib import Path


def take_note(path: str) -> bool:
    """Whether it is whole; called before it is opened. From then on it is not, until it is closed."""
    note = _note_of(path)
    try:
        kept = note.read_text(encoding="ascii")
        note.unlink()
    except (OSError, UnicodeDecodeError):
        return False
    return kept == _state_of(path)


def leave_note(path: str) -> None:
    """It has been closed."""
    try:
        descriptor = os.open(_note_of(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as note:
            note.write(_state_of(path))
    except OSError:
        return  # then it is not known to be whole


def _note_of(path: str) -> Path:
    return Path(f"{path}-closed")


def _state_of(path: str) -> str:
    found = Path(path).stat()
    return f"{found.st_ino} {found.st_ctime_ns} {found.st_size}"
