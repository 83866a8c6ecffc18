"""Packages that a configuration needs and that are not installed here. Only warned of: it may run elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from gateway.config.model_errors import Mistake
from gateway.config.schema import Config
from gateway.model.state_url import read_state_url


def missing(config: Config) -> Iterator[Mistake]:
    """What a gateway with this configuration would not start for, if it were started here."""
    url = read_state_url(config.state)
    if url.kind == "redis" and find_spec("redis") is None:
        yield _mistake(("state",), str(url), "redis", "redis")
    for name, tool in config.tools.items():
        for number, credential in enumerate(tool.credential):
            if credential.aws_sigv4 is not None and find_spec("botocore") is None:
                yield _mistake(("tools", name, "credential", number, "aws_sigv4"), "aws_sigv4", "botocore", "aws")
    otlp = config.trace.otlp
    if otlp is not None and otlp.protocol == "grpc" and find_spec("grpc") is None:
        yield _mistake(("trace", "otlp", "protocol"), "protocol: grpc", "grpcio", "otel")


def _mistake(path: tuple[str | int, ...], what: str, package: str, extra: str) -> Mistake:
    message = f"{what} needs the package {package}, which is not installed here: a gateway would not start"
    return Mistake(path, message, f"pip install 'toolgate[{extra}]', or '.[{extra}]' in a checkout")
