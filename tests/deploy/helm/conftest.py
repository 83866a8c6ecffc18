"""Real helm, and every values file of the chart rendered once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.deploy.schemas import Schemas
from tests.deploy.tools.fetch import NoTools, Tools, tools

from .chart import VALUES, Rendered, render


@pytest.fixture(scope="session")
def tooling() -> Tools:
    try:
        return tools()
    except NoTools as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def schemas(tooling: Tools) -> Schemas:
    return Schemas(tooling.schemas)


@pytest.fixture(scope="session")
def everything(tooling: Tools) -> dict[str, Rendered]:
    """By the name of the values file."""
    with ThreadPoolExecutor(2) as threads:
        return dict(zip(VALUES, threads.map(lambda name: render(tooling.helm4, name), VALUES), strict=True))


@pytest.fixture(params=VALUES)
def rendered(request: pytest.FixtureRequest, everything: dict[str, Rendered]) -> Rendered:
    return everything[request.param]
