"""A child always ends, and what it said last is still heard."""

from __future__ import annotations

import asyncio
import sys

import pytest

from gateway.bridge import child as module
from gateway.bridge.child import Child, ChildGone
from tests.bridge.support import is_running, until


class Heard:
    """What a child said, and how it ended."""

    def __init__(self, child: Child) -> None:
        self.lines: asyncio.Queue[bytes] = asyncio.Queue()
        self.ends: list[str] = []
        child.listen(self.lines.put_nowait, self.ends.append)


async def started(code: str) -> tuple[Child, Heard]:
    child = await Child.start([sys.executable, "-c", code], {"WORD": "hello"})
    return child, Heard(child)


async def test_a_child_gets_its_environment_and_lines_both_ways() -> None:
    child, heard = await started("import os; print(os.environ['WORD'], input(), flush=True); input()")
    child.send(b'{"a":1}')
    assert await heard.lines.get() == b'hello {"a":1}'
    await child.close()
    assert heard.ends == ["the server ended with exit status 1"]  # input() at the end of stdin


async def test_what_a_child_says_when_its_stdin_ends_is_heard() -> None:
    child, heard = await started("import sys; sys.stdin.read(); print('bye')")
    await child.close()
    assert heard.lines.get_nowait() == b"bye"
    assert heard.ends == ["the server ended with exit status 0"]


async def test_a_child_that_heeds_neither_the_end_of_stdin_nor_sigterm_is_killed_with_its_own_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    child, heard = await started(
        "import os, signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(os.getpid(), subprocess.Popen(['sleep', '60']).pid, flush=True)\ntime.sleep(60)"
    )
    parent, grandchild = map(int, (await heard.lines.get()).split())
    await child.close()
    assert not is_running(parent)
    until(lambda: not is_running(grandchild))
    assert heard.ends == ["the server was ended by signal 9"]


async def test_sending_to_a_child_that_has_gone_is_not_an_accident() -> None:
    child, heard = await started("print('ready')")
    while not heard.ends:
        await asyncio.sleep(0.01)
    child.send(b"{}")
    assert not child.alive
    await child.close()
    assert heard.ends == ["the server ended with exit status 0"]


async def test_a_child_that_closes_stdin_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    child, heard = await started("import os, time; os.close(0); print('closed', flush=True); time.sleep(60)")
    assert await heard.lines.get() == b"closed"
    with pytest.raises(ChildGone):
        for _ in range(100):
            child.send(b"x" * (1 << 16))
            await child.drain()
            await asyncio.sleep(0)
    await child.close()
