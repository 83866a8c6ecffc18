"""Random bytes come in the size that was asked for, none of them twice."""

from __future__ import annotations

import pytest

from gateway.stores import unguessable
from gateway.stores.unguessable import Unguessable


@pytest.mark.parametrize("size", [1, 8, 24, 4096])
def test_no_byte_is_given_twice(size, monkeypatch):
    blocks = iter(range(256))
    monkeypatch.setattr(unguessable, "urandom", lambda amount: bytes([next(blocks)]) * amount)
    draw = Unguessable()
    given = b"".join([draw(size) for _ in range(5 * 4096 // size)])
    assert all(given.count(bytes([block])) == 4096 // size * size for block in range(5))


def test_ids_differ():
    draw = Unguessable()
    assert len({draw(8) for _ in range(5000)}) == 5000
