"""Reads files and remembers what it read, so that a later look can tell whether anything has changed."""

from __future__ import annotations

import os
from hashlib import blake2b
from pathlib import Path

LARGEST = 32 * 1024 * 1024
"""Bytes of one file: OpenAPI documents reach several MiB, and a path to a log or a device should not fill memory."""

MISSING, FOLDER = "missing", "folder"


class Files:
    """Reads each file once. ``read_files`` and ``folders`` are all that was asked for, found or not."""

    def __init__(self) -> None:
        self.read_files: dict[Path, str] = {}
        self.folders: set[Path] = set()
        self._contents: dict[Path, bytes] = {}

    def read(self, path: Path) -> bytes:
        """The file's bytes.

        Raises:
            OSError: it cannot be read, is no regular file, or is too large.
        """
        path = Path(os.path.abspath(path))  # not resolve(): the symlink is what gets swapped
        if path not in self._contents:
            self.read_files[path] = FOLDER if path.is_dir() else MISSING
            content = self._contents[path] = _content(path)
            self.read_files[path] = _digest(content)
        return self._contents[path]

    def policies(self, folder: Path) -> list[Path]:
        """The policy files below a folder, in the order of their names; the path itself where it is a file."""
        if not folder.is_dir():
            return [folder]
        self.folders.add(Path(os.path.abspath(folder)))
        return policy_files(folder)

    def fingerprint(self) -> str:
        """A digest of everything as it was read; ``fingerprint_now`` gives the same while nothing has changed."""
        return _fingerprint(self.read_files, self.folders)

    def fingerprint_now(self) -> str:
        """The digest of the same files and folders as they are now."""
        again = Files()
        for path in self.read_files:
            again.look(path)
        for folder in self.folders:
            for path in again.policies(folder):
                again.look(path)
        return again.fingerprint()

    def look(self, path: Path) -> None:
        """Read without complaint: what cannot be read counts as missing, or as the folder that it is."""
        try:
            self.read(path)
        except OSError:
            self.read_files[Path(os.path.abspath(path))] = FOLDER if path.is_dir() else MISSING


def policy_files(folder: Path) -> list[Path]:
    """``*.yaml`` and ``*.yml`` below a folder, sorted, without ``*_test.yaml``.

    Hidden files and folders are passed over: a mounted ConfigMap keeps its versions in some, and the files once more.
    """
    return [path for path in _yaml_files(folder) if not holds_cases(path)]


def case_files(folder: Path) -> list[Path]:
    """``*_test.yaml`` and ``*_test.yml`` below a folder, sorted; the path itself where it is a file."""
    return [path for path in _yaml_files(folder) if holds_cases(path)] if folder.is_dir() else [folder]


def holds_cases(path: Path) -> bool:
    """Whether the file's name says that it holds tests of policies, and no policies."""
    return path.stem.endswith("_test")


def _yaml_files(folder: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[str] = set()
    for at, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(at, name) for name in sorted(names) if _is_yaml(name)]
    return found


def _is_yaml(name: str) -> bool:
    return not name.startswith(".") and name.rpartition(".")[1:] in ((".", "yaml"), (".", "yml"))


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise IsADirectoryError(f"{path} is not a file")
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(f"larger than {LARGEST // 1024**2} MiB")
    return content


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _fingerprint(files: dict[Path, str], folders: set[Path]) -> str:
    lines = [f"{path}\0{digest}" for path, digest in sorted(files.items())] + sorted(map(str, folders))
    return _digest("\n".join(lines).encode(errors="surrogateescape"))
