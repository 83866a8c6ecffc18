"""What the configuration says of where connections to tools may go."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.fields import Listed, Model
from gateway.policy.functions_net import check_range
from gateway.policy.functions_text import FunctionError


def _network(value: str) -> str:
    try:
        return str(check_range(value))
    except FunctionError as error:
        raise ValueError(str(error)) from None


Range = Annotated[str, AfterValidator(_network)]


class EgressConfig(Model):
    """Which addresses tools' hosts may resolve to; looked at each time a connection is made."""

    private: Literal["auto", "allow", "deny"] | None = Field(
        default=None,
        description="Private and loopback addresses. auto, the default: only for a URL with such an address, or a name"
        " that exists only inside (no dot, localhost, .local, .internal, .svc, .lan, .home.arpa).",
    )
    allow: Listed[Range] = Field(
        default=(),
        description="Ranges that are allowed in any case, link-local ones (where clouds keep keys) too.",
    )
    deny: Listed[Range] = Field(default=(), description="Ranges that are denied, unless allow has them.")
    tunnels: Literal["named", "ech", "any"] | None = Field(
        default=None,
        description="What CONNECT may carry. named, the default: TLS whose ClientHello names the URL's host; ech: also"
        " if it may hide another one, as that of browsers; any: bytes of any kind.",
    )
