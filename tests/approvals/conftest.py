"""Two replicas at one store, on a clock that the test moves."""

from __future__ import annotations

import pytest

from tests.approvals.replicas import Replica, Store
from tests.stores.opening import Wall


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def store(wall: Wall) -> Store:
    return Store(wall)


@pytest.fixture
def one(store: Store, wall: Wall) -> Replica:
    return Replica(store, wall)


@pytest.fixture
def other(store: Store, wall: Wall) -> Replica:
    return Replica(store, wall)
