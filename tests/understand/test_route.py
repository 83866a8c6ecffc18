"""Which tool a request is for; and that nothing else can be reached through the gateway."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.errors import Refused
from gateway.model import Reason
from gateway.understand.route import Router
from tests.builders import request, tool

GITHUB = tool(hosts=("github.local",))
NOTES = tool("notes", ("http", "127.0.0.1", 7001), base_path="/api/v1")
SIX = tool("six", ("http", "::1", 7002))
VAULT = tool("vault", ("https", "vault.example", 8200), connect=True)
SECRET = tool("secret", ("https", "secret.example", 443), connect=True)
ROUTER = Router([GITHUB, NOTES, SIX, VAULT, SECRET])


def routed(target: str, host: str | None = "127.0.0.1:8080", method: str = "GET"):
    route = ROUTER.route(request(method, target, host=host))
    return route.tool.name, route.target, route.path, route.query


def refused(target: str, host: str = "127.0.0.1:8080", method: str = "GET") -> Refused:
    with pytest.raises(Refused) as caught:
        ROUTER.route(request(method, target, host=host))
    return caught.value


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/github/user", ("github", "/user", "/user", "")),
        ("/github/", ("github", "/", "/", "")),
        ("/github", ("github", "", "/", "")),
        ("/github?a=1", ("github", "?a=1", "/", "a=1")),
        ("/github/a?b=/c?d", ("github", "/a?b=/c?d", "/a", "b=/c?d")),
        ("/github/a?", ("github", "/a?", "/a", "")),
        ("/github//a/%2F;x", ("github", "//a/%2F;x", "//a/%2F;x", "")),
        ("/notes/x", ("notes", "/x", "/x", "")),
    ],
)
def test_the_first_segment_names_the_tool_and_the_rest_is_the_tools_byte_for_byte(target, found):
    assert routed(target) == found


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/?github",
        "//github/user",
        "/Github/user",
        "/git%68ub/user",
        "/githubs/x",
        "/github;x/y",
        "/./github",
        "/api",
    ],
)
def test_a_path_that_names_no_tool_is_404(target):
    error = refused(target)
    assert (error.status, error.reason) == (404, Reason.UNKNOWN_TOOL)


@pytest.mark.parametrize("host", ["github.local", "GitHub.Local"])
def test_an_alias_in_host_names_the_tool_and_the_whole_path_is_the_tools(host):
    assert routed("/notes/x?y", host) == ("github", "/notes/x?y", "/notes/x", "y")


def test_an_alias_is_known_with_the_port_that_the_gateway_listens_on():
    """An agent that reaches the gateway as http://github.local:8080 sends the port in Host."""
    assert routed("/user", "github.local:8080")[0] == "github"
    assert routed("http://github.local:8080/user")[0] == "github"


@pytest.mark.parametrize("host", ["api.github.com", "API.GITHUB.com", "api.github.com:443"])
def test_the_tools_own_host_names_it_the_default_port_or_none(host):
    assert routed("/user", host)[:2] == ("github", "/user")


@pytest.mark.parametrize("host", ["[::1]:7002"])
def test_an_ipv6_host_names_its_tool(host):
    assert routed("/x", host)[0] == "six"


@pytest.mark.parametrize("host", ["api.github.com:444", "vault.example", "vault.example:443", "127.0.0.1"])
def test_another_port_of_a_tools_host_is_another_server(host):
    assert refused("/user", host).status == 404


def test_a_tool_with_a_base_path_is_reached_by_its_own_host_below_that_path_only():
    assert routed("/api/v1/items?x", "127.0.0.1:7001") == ("notes", "/items?x", "/items", "x")
    assert routed("/api/v1", "127.0.0.1:7001") == ("notes", "", "/", "")
    for target in ("/", "/api", "/api/v2/x", "/api/v1x", "/api/v11/x", "/API/v1/x", "/admin"):
        assert refused(target, "127.0.0.1:7001").status == 404, target


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("http://api.github.com/user?q", ("github", "/user?q", "/user", "q")),
        ("https://api.github.com/user", ("github", "/user", "/user", "")),
        ("HTTP://API.github.com:443/user", ("github", "/user", "/user", "")),
        ("http://api.github.com", ("github", "/", "/", "")),
        ("http://api.github.com?q", ("github", "/?q", "/", "q")),
        ("http://github.local/x", ("github", "/x", "/x", "")),
        ("http://127.0.0.1:7001/api/v1/x", ("notes", "/x", "/x", "")),
        ("http://api.github.com/http://evil.example/", ("github",) + ("/http://evil.example/",) * 2 + ("",)),
    ],
)
def test_absolute_form_names_the_tool_by_its_authority_and_host_is_ignored(target, found):
    assert routed(target, "evil.example") == found


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/",
        "http://evil.example/github/user",
        "http://api.github.com.evil.example/",
        "http://evilapi.github.com/",
        "http://api.github.com:80/",
        "http://api.github.com:22/",
        "http://api.github.com./",
        "http:///github/user",
        "http://api.github.com\\.evil.example/",
        "http://127.0.0.1:7001/admin",
        "http://127.0.0.1:7001",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:9090/metrics",
    ],
)
def test_the_gateway_is_no_open_proxy(target):
    """An agent inside the network must not get to hosts that are no tools, not even with a Host that is one."""
    assert refused(target, "api.github.com").status == 404


@pytest.mark.parametrize(
    "target",
    ["ftp://api.github.com/", "file:///etc/passwd", "api.github.com:443", "github/user", "http:/api.github.com/", ""],
)
def test_a_target_that_is_neither_path_nor_http_url_is_400(target):
    assert refused(target).status == 400


@pytest.mark.parametrize(
    "target", ["http://user@api.github.com/", "http://api.github.com@evil.example/", "http://a:b@x/"]
)
def test_user_information_is_not_accepted(target):
    assert refused(target).status == 400


def test_connect_reaches_a_tool_that_allows_it():
    assert routed("vault.example:8200", method="CONNECT") == ("vault", "", "", "")
    assert routed("VAULT.example:8200", method="CONNECT")[0] == "vault"
    assert routed("secret.example:443", method="CONNECT")[0] == "secret"


@pytest.mark.parametrize(
    "target",
    [
        "api.github.com:443",  # a tool, but without `connect: true`
        "secret.example",
        "secret.example:22",
        "secret.example:80",
        "vault.example:443",
        "evil.example:443",
        "127.0.0.1:22",
        "http://vault.example:8200/",
        "/vault",
        "vault.example:8200@evil.example:443",
        "",
    ],
)
def test_connect_reaches_nothing_else(target):
    error = refused(target, "vault.example:8200", "CONNECT")
    assert (error.status, error.reason) == (403, Reason.UNKNOWN_TOOL)


def test_asterisk_form_asks_the_tool_that_host_names():
    assert routed("*", "api.github.com", "OPTIONS") == ("github", "*", "*", "")
    assert routed("*", "github.local", "OPTIONS")[0] == "github"
    assert refused("*", "127.0.0.1:8080", "OPTIONS").status == 404


def test_a_request_without_host_is_routed_by_its_path():
    assert routed("/github/user", None)[0] == "github"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40), st.sampled_from(["GET", "CONNECT"]))
def test_no_target_breaks_the_router(target, method):
    """Whatever comes, it is a tool or a refusal with a 4xx; and what a prefix leaves is what was sent."""
    try:
        route = ROUTER.route(request(method, target))
    except Refused as error:
        assert 400 <= error.status < 500
    else:
        assert method == "CONNECT" or target.endswith(route.target)


@given(st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="#"), max_size=40))
def test_what_follows_the_prefix_is_not_touched(rest):
    route = ROUTER.route(request(target="/github/" + rest))
    assert route.tool is GITHUB
    assert route.target == "/" + rest


def test_a_url_that_claims_an_aliass_port_keeps_it():
    router = Router([tool(hosts=("local",)), tool("notes", ("http", "local", 7001))])
    assert router.route(request(target="/x", host="local:7001")).tool.name == "notes"
    assert router.route(request(target="/x", host="local:7002")).tool.name == "github"


def test_what_is_remembered_of_targets_cannot_fill_the_memory():
    router = Router([GITHUB])
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(1000):
            router.route(request(target=f"/github/{number:020000}"))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


class TestRedirected:
    """A connection that was for somebody else: only the host counts, on the port that it was for."""

    TOOLS = Router(
        [
            GITHUB,
            NOTES,
            SIX,
            VAULT,
            SECRET,
            tool("named", ("https", "10.0.0.5", 443), connect=True, server_name="N.example"),
        ]
    )

    def route(self, target: str, host: str | None, to: str, method: str = "GET"):
        return self.TOOLS.route(structs.replace(request(method, target, host=host), original=to))

    @pytest.mark.parametrize(
        ("target", "host", "to", "name", "rest"),
        [
            ("/user", "api.github.com", "203.0.113.5:80", "github", "/user"),
            ("/user", "API.GitHub.com:443", "203.0.113.5:443", "github", "/user"),
            ("/user", "github.local", "[fd00::5]:80", "github", "/user"),
            ("/user", "github.local:8080", "203.0.113.5:8080", "github", "/user"),
            ("/api/v1/x", "127.0.0.1:7001", "127.0.0.1:7001", "notes", "/x"),
            ("/x", "[::1]:7002", "[::1]:7002", "six", "/x"),
            ("http://api.github.com/user?a", "elsewhere", "203.0.113.5:80", "github", "/user?a"),
            ("*", "github.local", "203.0.113.5:80", "github", "*"),
        ],
    )
    def test_the_host_names_the_tool(self, target, host, to, name, rest):
        found = self.route(target, host, to)
        assert (found.tool.name, found.target) == (name, rest)

    @pytest.mark.parametrize("target", ["secret.example:443", "SECRET.example:443", "n.example:443", "10.0.0.5:443"])
    def test_a_tunnel_is_for_the_host_or_what_tls_calls_it(self, target):
        assert self.route(target, None, "203.0.113.5:443", "CONNECT").tool.name in ("secret", "named")

    @pytest.mark.parametrize(
        ("target", "host", "to"),
        [
            ("/github/user", "127.0.0.1:8080", "127.0.0.1:8080"),
            ("/github/user", "evil.example", "203.0.113.5:80"),
            ("/user", None, "203.0.113.5:80"),
            ("/user", "", "203.0.113.5:80"),
            ("/user", "api.github.com", "203.0.113.5:8080"),
            ("/user", "api.github.com:443", "203.0.113.5:80"),
            ("/user", "api.github.com:", "203.0.113.5:443"),
            ("/user", "vault.example", "203.0.113.5:80"),
            ("https://api.github.com/user", "api.github.com", "203.0.113.5:80"),
            ("http://u@api.github.com/user", "api.github.com", "203.0.113.5:80"),
            ("ftp://evil.example/", "api.github.com", "203.0.113.5:80"),
            ("*", "evil.example", "203.0.113.5:80"),
        ],
    )
    def test_all_else_is_for_no_tool(self, target, host, to):
        with pytest.raises(Refused) as caught:
            self.route(target, host, to)
        assert (caught.value.reason, caught.value.status) == (Reason.UNKNOWN_TOOL, 403)
        assert to in caught.value.detail

    @pytest.mark.parametrize(
        "target", ["api.github.com:443", "secret.example:8443", "evil.example:443", "vault.example"]
    )
    def test_a_tunnel_to_anything_else_is_none(self, target):
        with pytest.raises(Refused) as caught:
            self.route(target, None, "203.0.113.5:443", "CONNECT")
        assert (caught.value.reason, caught.value.status) == (Reason.UNKNOWN_TOOL, 403)

    def test_what_tls_calls_a_tool_is_no_host_of_requests(self):
        with pytest.raises(Refused):
            self.route("/named/x", "n.example:443", "203.0.113.5:443")

    @given(st.text(max_size=40), st.text(max_size=40), st.sampled_from(["GET", "CONNECT"]), st.integers(1, 65535))
    def test_only_a_tools_host_leads_anywhere(self, target, host, method, port):
        """Whatever stands in the request."""
        try:
            found = self.route(target, host.encode("utf-8").decode("latin-1"), f"203.0.113.5:{port}", method)
        except Refused:
            return
        meant = (host + target).lower()
        assert any(name in meant for name in (found.tool.origin.host, *found.tool.hosts))

    def test_what_was_found_for_others_is_not_taken_for_it(self):
        """Routes are remembered by target and host."""
        assert self.TOOLS.route(request(target="/github/user", host="evil.example")).tool.name == "github"
        with pytest.raises(Refused):
            self.route("/github/user", "evil.example", "203.0.113.5:80")
