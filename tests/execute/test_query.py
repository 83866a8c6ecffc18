"""The query that a tool gets where the gateway puts a key in it, or takes the agent's out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.execute.query import folded, with_members

KEYS = frozenset({"key", "api_key"})


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("/a", "/a"),
        ("/a?", "/a?"),
        ("/a?b=1&b=2;c&&d=%2f", "/a?b=1&b=2;c&&d=%2f"),
        ("/a?key=1", "/a"),
        ("/a?key=1&b=2", "/a?b=2"),
        ("/a?b=2&key=1", "/a?b=2"),
        ("/a?b=2&key=1&c=3", "/a?b=2&c=3"),
        ("/a?b=2;key=1;c=3", "/a?b=2;c=3"),
        ("/a?KEY=1&Api-Key=2&api.key=3&%6bey=4&key[]=5&+api_key=6&api%5Fkey=7&key", "/a"),
        ("/a?monkey=1&keys=2&b=key", "/a?monkey=1&keys=2&b=key"),
    ],
)
def test_members_that_some_server_would_take_for_the_key_are_gone(target: str, left: str) -> None:
    assert with_members(target, KEYS, ()) == left


@pytest.mark.parametrize(
    ("target", "got"),
    [("/a", "/a?key=a%20b%26"), ("/a?b=1", "/a?b=1&key=a%20b%26"), ("/a?key=mine", "/a?key=a%20b%26")],
)
def test_a_member_takes_the_place_of_the_agents(target: str, got: str) -> None:
    assert with_members(target, frozenset(), [("key", "a b&")]) == got


@given(st.text(st.sampled_from("ab=&;%6key[]. +_-?"), max_size=30))
def test_no_key_is_left_and_the_rest_is_as_it_was(query: str) -> None:
    left = with_members(f"/a?{query}", KEYS, ()).partition("?")[2]
    members = query.replace(";", "&").split("&")
    for part in left.replace(";", "&").split("&") if left else ():
        assert folded(part.partition("=")[0]) not in KEYS
        assert part in members
