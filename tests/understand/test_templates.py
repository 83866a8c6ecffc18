"""Route templates, and paths that can be read in two ways."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.understand.templates import Templates, ambiguous, dot_segments

TEMPLATES = Templates(
    [
        "GET /",
        "GET /repos/{owner}/{repo}",
        "GET /repos/{owner}/{repo}/issues",
        "GET /repos/search/{q}",
        "GET /repos/{owner}/settings",
        "POST /repos/{owner}/{repo}/issues",
        "GET /users/{id}",
        "GET /users/me",
        "GET /users/me/keys",
        "GET /users/{id}/repos",
        "GET /a/{x}/c/d",
        "GET /a/b/c/{y}",
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/", ("GET /", {})),
        ("GET", "/repos/o/r", ("GET /repos/{owner}/{repo}", {"owner": "o", "repo": "r"})),
        ("POST", "/repos/o/r/issues", ("POST /repos/{owner}/{repo}/issues", {"owner": "o", "repo": "r"})),
        ("GET", "/users/7", ("GET /users/{id}", {"id": "7"})),
        ("GET", "/users/a%2Fb", ("GET /users/{id}", {"id": "a/b"})),
        ("GET", "/users/%6De", ("GET /users/me", {})),
        ("GET", "/users/caf%C3%A9", ("GET /users/{id}", {"id": "café"})),
    ],
)
def test_a_path_names_an_operation_and_its_parameters(method, path, found):
    assert TEMPLATES.match(method, path) == found


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/users/me", "GET /users/me"),
        ("/repos/search/x", "GET /repos/search/{q}"),
        ("/repos/search/settings", "GET /repos/search/{q}"),
        ("/repos/o/settings", "GET /repos/{owner}/settings"),
    ],
)
def test_a_literal_segment_is_preferred_to_a_parameter(path, operation):
    assert TEMPLATES.match("GET", path)[0] == operation


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/users/me/repos", ("GET /users/{id}/repos", {"id": "me"})),
        ("/a/b/c/d", ("GET /a/b/c/{y}", {"y": "d"})),
        ("/repos/search/r/issues", ("GET /repos/{owner}/{repo}/issues", {"owner": "search", "repo": "r"})),
    ],
)
def test_a_literal_that_leads_nowhere_gives_way_to_a_parameter(path, found):
    assert TEMPLATES.match("GET", path) == found


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/users/7"),
        ("get", "/users/7"),
        ("POST", "/users/7"),
        ("GET", "/users"),
        ("GET", "/users/"),
        ("GET", "/users/7/"),
        ("GET", "/users/7/x"),
        ("GET", "//users/7"),
        ("GET", "/repos//r"),
        ("GET", "*"),
        ("GET", ""),
    ],
)
def test_what_no_template_describes_has_no_operation(method, path):
    assert TEMPLATES.match(method, path) is None


SEGMENT = st.text(min_size=1, max_size=8)
LITERAL = st.text("abc", min_size=1, max_size=3)


@given(st.lists(st.one_of(LITERAL, SEGMENT.map(lambda value: (value,))), min_size=1, max_size=5))
def test_a_path_built_from_a_template_matches_it(pieces):
    """A piece is a literal, or the value of a parameter; any text goes into a parameter, percent-encoded."""
    template = "/".join(f"{{p{at}}}" if isinstance(piece, tuple) else piece for at, piece in enumerate(pieces))
    path = "/" + "/".join(quote(piece[0], safe="") if isinstance(piece, tuple) else piece for piece in pieces)
    values = {f"p{at}": piece[0] for at, piece in enumerate(pieces) if isinstance(piece, tuple)}
    assert Templates([f"GET /{template}"]).match("GET", path) == (f"GET /{template}", values)


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "{p}"]), min_size=1, max_size=4).map(tuple), unique=True, min_size=1),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4),
)
def test_the_tree_finds_a_match_exactly_where_one_by_one_there_is_one(templates, path):
    """Reference: among the templates that fit, literals to the left win."""
    fitting = [
        template
        for template in templates
        if len(template) == len(path) and all(t in ("{p}", s) for t, s in zip(template, path, strict=True))
    ]
    best = min(fitting, key=lambda template: [segment == "{p}" for segment in template], default=None)
    tree = Templates("GET /" + "/".join(template) for template in templates)
    found = tree.match("GET", "/" + "/".join(path))
    assert (found[0] if found else None) == ("GET /" + "/".join(best) if best else None)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/a//b", "//"),
        ("//a", "//"),
        ("/a/./b", "/./"),
        ("/a/../b", "/../"),
        ("/a/..", "/.."),
        ("/a/.", "/."),
        ("/a/%2e%2e/b", "%2e"),
        ("/a/.%2E/b", "%2E"),
        ("/a%2fb", "%2f"),
        ("/a%5Cb", "%5C"),
        ("/a\\b", "\\"),
        ("/a;v=1/b", ";"),
        ("/a/..;/b", ";"),
        ("/a%00", "%00"),
        ("/a%", "%"),
        ("/a%4", "%"),
        ("/a%zz", "%"),
        ("/a%u002f", "%"),
    ],
)
def test_what_servers_read_in_two_ways_is_found(path, what):
    assert ambiguous(path) == what


@pytest.mark.parametrize(
    "path", ["/", "/a/b", "/a.b/c..d", "/.well-known/x", "/a/...", "/%20%C3%A9", "/a,b:c@d!$&'()*+=~_-"]
)
def test_a_plain_path_is_not_ambiguous(path):
    assert ambiguous(path) == ""


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../x",
        "/a/../../x",
        "/./x",
        "/.",
        "/%2e%2e/x",
        "/.%2e/x",
        "/%2E./x",
        "/a/..%2fx",
        "/a/..%5cx",
        "/a/..\\x",
        "/a/..;/x",  # servlet containers cut off ";..." before they resolve dots
        "/a/..;v=1/x",
        "/a\\..\\..\\x",
        "/a%2f..%2f..%2fx",
        "/a%5C..%5C..%5Cx",
        "/a%2f%2e%2e%2fx",
    ],
)
def test_a_path_that_could_climb_is_seen_however_it_is_spelt(path):
    assert dot_segments(path)


@pytest.mark.parametrize(
    "path", ["/", "/a", "/.well-known", "/a..b", "/..a", "/a..", "/...", "/a/..b/c", "/a;b", "/a%2fb"]
)
def test_dots_inside_names_are_names(path):
    assert not dot_segments(path)
