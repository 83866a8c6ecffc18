"""Tokens of links: good for exactly what was signed."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.approvals.notify.links import LONGEST, BadLink, Link, Links, digest_of

KEY = bytes(range(32))
LINKS = Links(KEY)
LINK = Link("apr-0123456789abcdef01234567", "", "approve", "ops", "", 1000)
TOKEN = LINKS.sign(LINK)
texts = st.text(max_size=40)


@given(st.builds(Link, texts, texts, texts, texts, texts, st.integers(1, 1 << 40)))
def test_what_was_signed_is_read(link: Link) -> None:
    assert LINKS.read(LINKS.sign(link), link.until - 1) == link


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABCDEFabcdef0189-_=+/ \u00e9"))
def test_one_other_character_and_it_is_not_ours(at: int, character: str) -> None:
    changed = TOKEN[:at] + character + TOKEN[at + 1 :]
    if changed != TOKEN:
        with pytest.raises(BadLink):
            LINKS.read(changed, 0)


@given(st.text(max_size=LONGEST + 10))
def test_nothing_else_is_ours(text: str) -> None:
    with pytest.raises(BadLink):
        LINKS.read(text, 0)


@pytest.mark.parametrize(
    "changes",
    [{"approval": "apr-2"}, {"edit": "e"}, {"verb": "deny"}, {"channel": "x"}, {"recipient": "y"}, {"until": 9}],
)
def test_the_mac_of_one_link_fits_no_other(changes: dict[str, object]) -> None:
    mac = urlsafe_b64decode(TOKEN + "==")[:32]
    other = msgspec.json.encode(msgspec.structs.replace(LINK, **changes))
    with pytest.raises(BadLink):
        LINKS.read(urlsafe_b64encode(mac + other).rstrip(b"=").decode(), 0)


@pytest.mark.parametrize("now", [1000, 1001.5])
def test_it_ends(now: float) -> None:
    assert LINKS.read(TOKEN, 999.9) == LINK
    with pytest.raises(BadLink, match="over"):
        LINKS.read(TOKEN, now)


def test_another_key_voids_it() -> None:
    links = Links(KEY)
    token = links.sign(LINK)
    links.rekey(b"another")
    with pytest.raises(BadLink):
        links.read(token, 0)


def test_the_digest_tells_tokens_apart() -> None:
    assert digest_of(TOKEN) != digest_of(TOKEN + "=")
    assert len(digest_of("x" * 10_000 + "\udc80")) == 32
