"""What waits for a client that may be slow."""

from __future__ import annotations

import pytest

from gateway.bridge import outlet as module
from gateway.bridge.outlet import Item, Outlet


async def test_what_waits_is_given_out_in_order_also_after_the_end() -> None:
    outlet = Outlet(streams=True)
    outlet.put(Item(b"1"))
    outlet.put(Item(b"2"))
    outlet.end()
    outlet.put(Item(b"too late"))
    assert [await outlet.next(1) for _ in range(3)] == [Item(b"1"), Item(b"2"), None]


async def test_silence_is_told_of() -> None:
    with pytest.raises(TimeoutError):
        await Outlet(streams=True).next(0.001)


async def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOM", 10)
    cut: list[bool] = []
    outlet = Outlet(streams=True)
    outlet.on_overflow = lambda: cut.append(True)
    outlet.put(Item(b"longer than all the room"))
    assert await outlet.next(1) == Item(b"longer than all the room")
    outlet.put(Item(b"12345"))
    outlet.put(Item(b"67890"))
    assert not cut
    outlet.put(Item(b"1"))
    assert cut == [True]
    assert not outlet.streams
    assert await outlet.next(1) is None


def test_a_client_that_wants_answers_only_is_sent_nothing_else() -> None:
    assert not Outlet(streams=False).streams
