"""A gateway with little patience, so that no example lasts long."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness.gateway import Gateway
from tests.e2e.harness.upstream import Upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    process = Gateway(
        tmp_path_factory.mktemp("fuzz"),
        {"raw": {"url": f"http://127.0.0.1:{upstream.port}", "limits": {"first_byte": "1s", "idle": "1s"}}},
        wire={"head_timeout": "1s", "body_idle": "1s"},
    ).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output
