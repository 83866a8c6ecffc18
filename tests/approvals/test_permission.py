"""For whose calls what a person once said still counts."""

from __future__ import annotations

import pytest

from gateway.approvals.permission import stands_for
from gateway.policy.people import People
from tests.approvals.bench import ENGINE

PEOPLE = People(ENGINE)


@pytest.mark.parametrize(
    ("ident", "roles", "who", "counts"),
    [
        ("ada", ("approver",), "", True),
        ("ada", ("admin",), "", True),
        ("ada", ("viewer", "payments"), "", False),
        ("ada", (), "", False),
        ("agent-1", ("approver",), "", False),
        ("root-1", ("approver",), "", False),
        ("Agent-1", ("approver",), "", False),
        ("ada", ("approver",), '"payments" in approver.roles', False),
        ("ada", ("approver", "payments"), '"payments" in approver.roles && "payer" in agent.roles', True),
        ("ada", ("approver", "payments"), "approver.id == agent.id", False),
        ("ada", ("approver",), "no such thing", False),
    ],
)
def test_it_counts_where_they_could_decide(ident: str, roles: tuple[str, ...], who: str, counts: bool) -> None:
    assert stands_for(ident, roles, who, "agent-1", ("payer",), "root-1", PEOPLE) is counts
