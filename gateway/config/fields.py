"""Types of single values in the configuration, each with a message that says what to write."""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv4Address
from math import isfinite
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)

from gateway.config.model_errors import quoted
from gateway.model import Origin
from gateway.model.state_url import read_state_url
from gateway.policy.units import size

T = TypeVar("T")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])")
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LOOKS = "write http(s)://host[:port][/base]"
STRUCTURAL = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "via"}
)
"""Fields that frame or route a message: the wire writes them itself."""


class Model(BaseModel):
    """Base of all sections: unknown keys are mistakes, nothing is converted silently, nothing changes later."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Address(Struct, frozen=True):
    """Where to listen. ``port`` 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def meets(self, other: Address) -> bool:
        """Whether only one of both can be listened on: ``0.0.0.0`` is every address of IPv4, ``::`` of IPv6."""
        if not self.port or self.port != other.port:
            return False
        every = {"0.0.0.0", "::"} & {self.host, other.host}  # noqa: S104 - compared
        return self.host == other.host or (bool(every) and (":" in self.host) == (":" in other.host))


def _listed(value: object) -> object:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, str):
        raise ValueError(f"must be a list; write [{value}]")  # noqa: TRY004 - pydantic reads ValueError only
    return value


Listed = Annotated[tuple[T, ...], BeforeValidator(_listed)]
"""A list in YAML, a tuple here: a frozen model stays frozen."""


def address(value: object) -> Address:
    """``host:port`` as an address. Raises ValueError."""
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["port"]) > 65535:
        if isinstance(value, str) and value.startswith("unix:"):
            raise ValueError("unix sockets are not supported yet; write host:port, such as 127.0.0.1:8080")
        raise ValueError(f"not an address: {value!r}; write host:port, such as 127.0.0.1:8080")
    return Address(found["host"].strip("[]") or "0.0.0.0", int(found["port"]))  # noqa: S104 - ":8080" asks for it


ListenAddress = Annotated[
    Address,
    PlainValidator(address),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": r"^.*:[0-9]{1,5}$", "examples": ["127.0.0.1:8080", "[::1]:8080"]}),
]


def _token(value: str) -> str:
    if len(value) < 16 or not all("!" <= character <= "~" for character in value):
        raise ValueError("a token is 16 or more visible ASCII characters; make one with openssl rand -hex 24")
    return value


AdminToken = Annotated[str, AfterValidator(_token)]


def _key(value: str) -> str:
    if len(value) < 32:
        raise ValueError("a key is 32 or more characters; make one with openssl rand -hex 32")
    return value


SigningKey = Annotated[str, AfterValidator(_key), WithJsonSchema({"type": "string", "minLength": 32})]


def _usd(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        raise ValueError(f"not US dollars: {quoted(value)}; write a number from 0 upwards, such as 0.25")
    return float(value)


def _cost(value: object) -> float | str:
    if isinstance(value, str) and value.strip():
        return value
    try:
        return _usd(value)
    except ValueError:
        raise ValueError(
            f"not a cost: {quoted(value)}; write US dollars from 0 upwards, or a CEL expression that gives them"
        ) from None


Cost = Annotated[
    float | str,
    PlainValidator(_cost),
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "minLength": 1}]}),
]
Usd = Annotated[float, BeforeValidator(_usd), WithJsonSchema({"type": "number", "minimum": 0})]

Bytes = Annotated[
    int,
    BeforeValidator(size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+ ?([KMG]i?B|B)?$"},
                {"type": "integer", "minimum": 0},
            ],
            "examples": ["64KiB", "1MiB", "10MB"],
        }
    ),
]


def _header_name(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"not a header name: {value!r}; write letters, digits and -, such as x-agent-id")
    return value


def _free_header_name(value: str) -> str:
    if _header_name(value).lower() in STRUCTURAL:
        raise ValueError(f"{value} belongs to the wire and cannot be set or stripped; choose another header")
    return value


HeaderName = Annotated[str, AfterValidator(_header_name)]
FreeHeaderName = Annotated[str, AfterValidator(_free_header_name)]


def _header_value(value: str) -> str:
    # Never quote the value: it is a secret.
    if not value.strip():
        raise ValueError("the value is empty; check the variable or file that it comes from")
    if any(not (" " <= character <= "~" or character == "\t") for character in value):
        raise ValueError("the value has a line break or a character that headers cannot carry; write visible ASCII")
    return value


HeaderValue = Annotated[str, AfterValidator(_header_value)]


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except AddressValueError:
        return False
    return True


def origin_of(url: str) -> tuple[Origin, str]:
    """The origin and the base path (without a slash at its end) of an upstream's URL.

    Raises:
        ValueError: it is not ``http(s)://host[:port][/base]``.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError:
        raise ValueError(f"not a URL: {url!r}; {_LOOKS}") from None
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[^\s\x00-\x1f]+", url):
        raise ValueError(f"not a URL: {url!r}; {_LOOKS}")
    if parts.username is not None or parts.password is not None:
        raise ValueError(
            "a URL must not hold a user name or password; write a credential: for a tool, headers: for a collector"
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError("a URL must not hold a query or a fragment; " + _LOOKS)
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host):
        raise ValueError(f"not a host: {host!r}; write names beyond ASCII in their xn-- form")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) and not _is_ipv4(host):
        raise ValueError(f"{host!r} is an address to some, a name to others; write four numbers, such as 10.0.0.1")
    if port == 0:
        raise ValueError(f"port 0 cannot be called; {_LOOKS}")
    if not re.fullmatch(r"[!-~]*", parts.path):
        raise ValueError(f"not a path: {parts.path!r}; percent-encode what is not visible ASCII")
    return Origin(parts.scheme, host, port or (443 if parts.scheme == "https" else 80)), parts.path.rstrip("/")


def _url(value: str) -> str:
    origin_of(value)
    return value


Url = Annotated[
    str,
    AfterValidator(_url),
    Field(json_schema_extra={"pattern": "^https?://[^/?#@]+(/[^?#]*)?$", "examples": ["https://api.github.com"]}),
]


def _authority(value: str) -> str:
    if not re.fullmatch(rf"{_HOST.pattern}(?::[0-9]{{1,5}})?", value):
        raise ValueError(f"not a host name: {value!r}; write github.local or github.local:8080")
    return value.lower()


Authority = Annotated[str, AfterValidator(_authority)]


def _state(value: str) -> str:
    read_state_url(value)
    return value


StateLocation = Annotated[
    str,
    AfterValidator(_state),
    Field(
        json_schema_extra={
            "pattern": "^(memory:$|sqlite:///.|(rediss?(\\+(sentinel|cluster))?|unix)://.)",
            "examples": ["sqlite:///toolgate.db", "redis://redis.local:6379/0"],
        }
    ),
]


def operation(value: str) -> str:
    """A route template, as it is. Raises ValueError where it is none."""
    method, space, path = value.partition(" ")
    if not space or not re.fullmatch(r"[A-Z][A-Z-]*", method) or not path.startswith("/") or " " in path:
        raise ValueError(f"not an operation: {value!r}; write METHOD /path/{{name}}, such as GET /repos/{{owner}}")
    for segment in path.split("/")[1:]:
        if ("{" in segment or "}" in segment) and not re.fullmatch(r"\{[^{}]+\}", segment):
            raise ValueError(f"{segment!r} mixes a {{name}} with other text; a {{name}} stands for one whole segment")
    names = re.findall(r"\{([^{}]+)\}", path)
    if len(names) != len(set(names)):
        raise ValueError(f"a {{name}} is used twice in {value!r}; give each its own name")
    return value


Operation = Annotated[str, AfterValidator(operation)]


def shape_of(operation: str) -> str:
    """The operation with its parameters' names left out: two of one shape match the same requests."""
    return re.sub(r"\{[^{}]+\}", "{}", operation)


def _sha256(value: str) -> str:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ValueError("must be the SHA-256 of the key in 64 hex digits; make one with: toolgate hash-key")
    return value.lower()


Sha256 = Annotated[str, AfterValidator(_sha256), Field(json_schema_extra={"pattern": "^[0-9a-fA-F]{64}$"})]
