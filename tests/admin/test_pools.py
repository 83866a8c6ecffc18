"""``/api/pools`` over real sockets, and the same numbers for Prometheus."""

from __future__ import annotations

from prometheus_client import generate_latest

from gateway.admin import pools
from gateway.model import PoolClaim, PoolSettings
from gateway.observe.exposition import Gauges, registry_of
from gateway.observe.metrics import Metrics
from gateway.stores.pools import PoolKeeper
from tests.admin.support import session_of


def busy() -> PoolKeeper:
    """One place, which ann has; bob waits twice, and a third call of his was turned away."""
    keeper = PoolKeeper()
    for agent in ("ann", "bob", "bob", "bob"):
        keeper.enter(PoolClaim("shared", ("shared", "crm"), agent, 2.0, 1, PoolSettings(1, queue=2)), 0.0)
    return keeper


async def test_pools_are_listed_with_who_is_in_them():
    async with session_of(lambda api: pools.add(api, busy())) as session, session.get("/api/pools") as response:
        (listed,) = (await response.json())["pools"]
    agents = listed.pop("agents")
    assert listed == {
        "pool": "shared",
        "tool": "crm",
        "in_flight": 1,
        "waiting": 2,
        "limit": 1,
        "concurrency": 1,
        "turned_away": {"full": 1, "displaced": 0, "timeout": 0},
        "agents_known": 2,
    }
    assert [(one["agent"], one["in_flight"], one["waiting"]) for one in agents] == [("bob", 0, 2), ("ann", 1, 0)]
    assert agents[0]["waited"] > 0
    assert (agents[1]["weight"], agents[1]["priority"]) == (2.0, 1)


def test_metrics_tell_places_waiting_and_who_was_turned_away():
    text = generate_latest(registry_of(Metrics(), Gauges(pools=busy().states))).decode()
    for line in (
        'toolgate_pool_in_flight{pool="shared",tool="crm"} 1.0',
        'toolgate_pool_waiting{pool="shared",tool="crm"} 2.0',
        'toolgate_pool_limit{pool="shared",tool="crm"} 1.0',
        'toolgate_pool_wait_seconds_bucket{le="0.0",pool="shared",tool="crm"} 1.0',
        'toolgate_pool_wait_seconds_count{pool="shared",tool="crm"} 1.0',
        'toolgate_pool_turned_away_total{pool="shared",tool="crm",why="full"} 1.0',
    ):
        assert line in text.splitlines()
