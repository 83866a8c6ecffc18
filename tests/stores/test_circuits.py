"""The table of circuits: agents that make ever new operations fail do not fill it."""

from __future__ import annotations

import pytest

from gateway.model import Answered
from gateway.stores import circuits
from gateway.stores.circuits import Circuits
from tests.builders import circuit


def test_circuits_of_ever_new_operations_push_out_the_oldest_and_closed_ones_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(circuits, "SWEEP", 10)
    monkeypatch.setattr(circuits, "MOST", 10)
    table = Circuits()

    def fail(number: int, failures: int) -> None:
        claim = circuit(f"op-{number}", failures=failures)
        hold = table.take(claim, table.look(claim, 1.0), 1.0)
        table.answered(hold, Answered(500, 0.1), 1.0)
        table.tidy(1.0)

    for number in range(5):
        fail(number, failures=1)
    for number in range(5, 1000):
        fail(number, failures=5)
        assert len(table) <= 21
    left = [(line.key[1], line.state) for line in table.lines(1.0)]
    assert [key for key, state in left if state == "open"] == [f"op-{number}" for number in range(5)]
    assert left[-1][0] == "op-999"
