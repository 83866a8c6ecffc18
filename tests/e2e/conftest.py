"""One open gateway for the suites that look at bytes, and its tools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness.compare import Pair
from .harness.echo import EchoServer, WebSocketServer
from .harness.gateway import Gateway
from .harness.governed import IDENTIFY, POLICIES, tools
from .harness.upstream import Upstream


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    """The scripted tool behind ``/raw`` of the open gateway, and behind ``Host: tool.test``."""
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="session")
def torn() -> Iterator[Upstream]:
    """A second scripted tool, behind ``/torn``: what breaks off there may arrive late without disturbing others."""
    server = Upstream()
    yield server
    server.close()


@pytest.fixture(scope="session")
def echo() -> Iterator[EchoServer]:
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def websocket() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def gateway(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: Upstream,
    torn: Upstream,
    echo: EchoServer,
    websocket: WebSocketServer,
) -> Iterator[Gateway]:
    """A gateway that lets everybody do everything."""
    process = Gateway(
        tmp_path_factory.mktemp("open"),
        {
            "raw": {
                "url": f"http://127.0.0.1:{upstream.port}",
                "hosts": ["tool.test"],
                "connect": True,
                "egress": {"tunnels": "any"},
            },
            "torn": {"url": f"http://127.0.0.1:{torn.port}"},
            "echo": {"url": f"http://127.0.0.1:{echo.port}"},
            "ws": {"url": f"http://127.0.0.1:{websocket.port}"},
            "based": {"url": f"http://127.0.0.1:{upstream.port}/api/v1"},
        },
    ).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output


@pytest.fixture
def pair(gateway: Gateway, upstream: Upstream) -> Pair:
    """The scripted tool, asked directly and through the gateway."""
    return Pair(gateway, upstream)


@pytest.fixture(params=["direct", "gateway"])
def base(request: pytest.FixtureRequest, gateway: Gateway, echo: EchoServer) -> str:
    """The base URL of the real tool: its own, and the gateway's. Every client must see the same at both."""
    return f"http://127.0.0.1:{echo.port}" if request.param == "direct" else f"{gateway.url}/echo"


@pytest.fixture(scope="session")
def governed(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Gateway]:
    """A gateway with identities, grants, rules, limits and breakers."""
    folder = tmp_path_factory.mktemp("governed")
    secret = folder / "secret"
    secret.write_text("s3cr3t-token\n")
    process = Gateway(folder, tools(f"http://127.0.0.1:{upstream.port}", secret), POLICIES, identify=IDENTIFY).start()
    yield process
    process.stop()
    assert "Traceback" not in process.output, process.output
