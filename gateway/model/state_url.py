"""Where state is kept, as a URL."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

REDIS = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")
ACCEPTED = "write memory:, sqlite:///FILE, redis://HOST:PORT/DB, or another form of docs/state.md"
_PREFIX = "toolgate:"
_TLS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class StateUrl(Struct, frozen=True):
    """A URL in its parts. ``str`` and ``repr`` leave out what is secret.

    ``scheme`` is memory, sqlite, or one of REDIS. ``path`` is the file (sqlite), the socket (unix), or what follows the
    hosts. ``prefix`` begins every key in Redis; ``options`` are redis-py's, as far as they may be written.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    username: str = ""
    password: str = ""
    prefix: str = _PREFIX
    options: tuple[tuple[str, str], ...] = ()

    @property
    def kind(self) -> str:
        """memory, sqlite or redis."""
        return self.scheme if self.scheme in ("memory", "sqlite") else "redis"

    def __str__(self) -> str:
        if self.scheme == "memory":
            return "memory:"
        if self.scheme == "unix":
            return f"unix://{self.path}"
        hosts = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{hosts}/{self.path.lstrip('/') if self.hosts else self.path}"

    def __repr__(self) -> str:
        return f"StateUrl({str(self)!r})"


def read_state_url(text: str) -> StateUrl:
    """What a URL says.

    Raises:
        ValueError: it is none of the accepted forms. The message never quotes it: it may hold a password.
    """
    if text == "memory:":
        return StateUrl("memory")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise ValueError(f"not a URL of a store; {ACCEPTED}") from None
    if parts.scheme == "sqlite":
        return _sqlite(text)
    if parts.scheme not in REDIS or not text.startswith(parts.scheme + "://") or parts.fragment:
        raise ValueError(f"not a URL of a store; {ACCEPTED}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    prefix = options.pop("prefix", _PREFIX)
    if not prefix or any(character in "{} \n" for character in prefix):
        raise ValueError("the prefix of keys must not be empty, nor hold a space or braces; write prefix=toolgate:")
    user, _, place = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    path = unquote(parts.path) if parts.scheme == "unix" else unquote(parts.path).strip("/")
    url = StateUrl(
        parts.scheme, _hosts(parts.scheme, place), path, unquote(username), unquote(password), prefix,
        tuple(sorted(options.items())),
    )  # fmt: skip
    _check(url)
    return url


def _sqlite(text: str) -> StateUrl:
    path = text.removeprefix("sqlite:///")
    if path == text or not path or path.startswith(":memory:") or "?" in path or "#" in path:
        raise ValueError(
            "not a URL of a SQLite file; write sqlite:///FILE (from the configuration's folder) or sqlite:////FOLDER/FILE"
        )
    return StateUrl("sqlite", path=unquote(path))


def _hosts(scheme: str, place: str) -> tuple[tuple[str, int], ...]:
    if scheme == "unix":
        if place:
            raise ValueError("not a URL of a unix socket; write unix:///FOLDER/SOCKET")
        return ()
    usual = 26379 if scheme.endswith("+sentinel") else 6379
    found = []
    for one in place.split(","):
        try:
            parts = urlsplit(f"//{one}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if not host or port == 0:
            raise ValueError("a host or port of the store cannot be read; write HOST:PORT, several with commas")
        found.append((host, port or usual))
    return tuple(found)


def _check(url: StateUrl) -> None:
    known: tuple[str, ...] = _TLS if url.scheme.startswith("rediss") else ()
    known += ("sentinel_username", "sentinel_password") if url.scheme.endswith("+sentinel") else ()
    known += ("db",) if url.scheme == "unix" else ()
    for name, value in url.options:
        if name not in known:
            raise ValueError(f"{url.scheme}:// has no option {name!r}; it has {', '.join(('prefix', *known))}")
        if name == "db" and not value.isdigit():
            raise ValueError("the database is a number; write db=0")
    if url.scheme == "unix" and url.path in ("", "/"):
        raise ValueError("not a URL of a unix socket; write unix:///FOLDER/SOCKET")
    if len(url.hosts) > 1 and "+" not in url.scheme:
        raise ValueError("several hosts are those of Sentinel or Cluster; write redis+sentinel:// or redis+cluster://")
    if url.scheme.endswith("+sentinel"):
        name, _, database = url.path.partition("/")
        if not name or (database and not database.isdigit()):
            raise ValueError("Sentinel is asked for a name; write redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB")
    elif url.scheme.endswith("+cluster"):
        if url.path not in ("", "0"):
            raise ValueError("a Cluster has no numbered databases; leave out what follows the hosts")
    elif url.scheme != "unix" and url.path and not url.path.isdigit():
        raise ValueError("the database is a number; write redis://HOST:PORT/0")
