"""The benchmark of pools, played for a shorter time: what docs/pools.md promises holds."""

from __future__ import annotations

import pytest

from benchmarks.fairness import SCENARIOS, play


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_agents_get_equal_service_and_a_polite_one_waits_no_longer_than_its_fair_share(scenario):
    played = play(scenario, fair=True, until=120.0)
    mean_seconds = sum(sum(who.takes) / 2 for who in scenario.agents) / len(scenario.agents)
    fair_share = mean_seconds * max(1.0, len(scenario.agents) / scenario.places)
    assert played.jain >= 0.99
    assert played.polite_wait <= 2 * fair_share
    assert played.gap <= 2 * (scenario.places + 1)
    assert played.busy > 0.95


def test_one_line_for_all_is_not_fair():
    """What is measured tells the two apart."""
    played = play(SCENARIOS[0], fair=False, until=120.0)
    assert played.jain < 0.5
    assert played.polite_wait > 10
