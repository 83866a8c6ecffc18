"""Trace logs as bytes to be looked into anywhere: plain files are mapped, compressed ones and pipes written out."""

from __future__ import annotations

import gzip
import mmap
import shutil
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from gateway.rehearse.timeline import Log

_GZIP = b"\x1f\x8b"


class Readable(Protocol):
    """Anything that bytes can be read from."""

    def read(self, size: int = ..., /) -> bytes: ...


@contextmanager
def opened(paths: Sequence[Path]) -> Iterator[list[Log]]:
    """The logs, for as long as the context lasts. ``-`` is standard input.

    Raises:
        click.ClickException: one of them cannot be read.
    """
    with ExitStack() as stack:
        yield [_open(path, stack) for path in paths]


def _open(path: Path, stack: ExitStack) -> Log:
    try:
        if str(path) == "-":
            return _mapped(_written(sys.stdin.buffer, stack), stack)
        file = stack.enter_context(path.open("rb"))
        if file.peek(2)[:2] == _GZIP:
            with gzip.open(file) as unpacked:
                return _mapped(_written(unpacked, stack), stack)
        regular = path.is_file()
        return _mapped(file if regular else _written(file, stack), stack)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise click.ClickException(f"cannot read {path}: {reason}") from None


def _written(source: Readable, stack: ExitStack) -> IO[bytes]:
    copy: IO[bytes] = stack.enter_context(TemporaryFile())  # noqa: SIM115 - the stack closes it
    shutil.copyfileobj(source, copy, 1 << 20)
    copy.flush()
    return copy


def _mapped(file: IO[bytes], stack: ExitStack) -> Log:
    file.seek(0, 2)
    if not file.tell():
        return b""  # an empty file cannot be mapped
    return stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
