"""Where the demo plays: a folder with files to edit, and addresses that are free."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import tempfile
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

FOLDER = "toolgate-demo"
AGENTS, ADMIN = 8080, 9090
TOOL_PORTS = {"notes": 7101, "bank": 7102, "search": 7103, "clock": 7104, "library": 7105, "llm": 7106}
"""The ports that demo.yaml names."""


def choose_folder(wanted: Path | None) -> Path:
    """The folder asked for, else ``./toolgate-demo``, else a temporary one.

    Temporary where nothing can be written here, or another demo plays in the folder: two would edit each other's files.
    """
    if wanted is None and not os.access(".", os.W_OK):
        return Path(tempfile.mkdtemp(prefix=f"{FOLDER}-"))
    folder = wanted or Path(FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    if not _ours_alone(folder):
        print(f"Another demo plays in {folder}; this one takes a temporary folder.")
        return Path(tempfile.mkdtemp(prefix=f"{FOLDER}-"))
    return folder.resolve()


def _ours_alone(folder: Path) -> bool:
    """Take the folder for this process, as long as it lives; False where another has it."""
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    return True


def write_files(folder: Path, ports: Mapping[int, int]) -> Path:
    """Write the configuration and the policies into ``folder``; returns the configuration's path.

    ``ports`` maps the ports that the packaged configuration names to those to use. A file that somebody changed is
    kept as ``NAME.old``.
    """
    packaged = files("gateway.demo")
    (folder / "policies").mkdir(exist_ok=True)
    for source in (packaged / "policies").iterdir():
        _write(folder / "policies" / source.name, _text(source))
    text = _text(packaged / "demo.yaml").replace("trace.jsonl", f'"{folder / "trace.jsonl"}"')
    text = re.sub(r"(127\.0\.0\.1):(\d+)", lambda found: f"{found[1]}:{ports.get(int(found[2]), found[2])}", text)
    _write(folder / "demo.yaml", text)
    return folder / "demo.yaml"


def free_port(wanted: int) -> int:
    """``wanted``, or a free port where something listens there already."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise OSError("no free port on 127.0.0.1")


def _text(source: Traversable) -> str:
    return source.read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding="utf-8") != text:
        path.replace(path.with_name(path.name + ".old"))
    path.write_text(text, encoding="utf-8")
