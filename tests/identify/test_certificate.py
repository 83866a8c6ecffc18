"""Agents by the names in their certificates."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.identify import identify
from gateway.identify.api_key import ApiKeyIdentity, Key
from gateway.identify.certificate import MOST_KEPT, CertificateIdentity
from gateway.model import Agent
from gateway.model.certificate_names import pattern_of, spiffe_id
from gateway.wire.tls import names_of
from tests.builders import request

SPIFFE = CertificateIdentity("spiffe://example.org/ns/{ns}/sa/{sa}", "{ns}/{sa}", ("svc",))


def agent(source: CertificateIdentity, *names: str) -> Agent | None:
    return source.identify(structs.replace(request(), certificate=names))


def test_segments_make_the_name_and_are_claims() -> None:
    found = agent(SPIFFE, "spiffe://example.org/ns/finance/sa/payer", "payer.finance.svc")
    assert found == Agent(
        "finance/payer",
        ("svc",),
        "certificate",
        claims={"ns": "finance", "sa": "payer", "id": "spiffe://example.org/ns/finance/sa/payer"},
    )
    whole = CertificateIdentity("spiffe://example.org/*", "{id}")
    assert agent(whole, "spiffe://example.org/a/b").id == "spiffe://example.org/a/b"  # type: ignore[union-attr]
    dns = CertificateIdentity("*.{team}.agents.test", "robot-{team}")
    assert agent(dns, "r1.Blue.agents.test").id == "robot-blue"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "names",
    [
        (),
        ("spiffe://example.org",),
        ("spiffe://example.org/",),
        ("spiffe://example.org/ns//sa/x",),
        ("spiffe://example.org/ns/./sa/x",),
        ("spiffe://example.org/ns/a/sa/x?y",),
        ("spiffe://user@example.org/ns/a/sa/x",),
        ("spiffe://EXAMPLE.org/ns/a/sa/x",),
        ("SPIFFE://example.org/ns/a/sa/x",),
        ("spiffe://example.org/ns/a/sa/x\n",),
        ("spiffe://example.org/ns/a/sa/" + "x" * 2048,),
        ("https://example.org/ns/a/sa/x",),
        ("spiffe://example.org/ns/a/sa/x", "spiffe://example.org/ns/a/sa/y"),
        ("spiffe://example.org/ns/a/sa/x", "https://example.org/"),
        ("ns.a.sa.x",),
    ],
)
def test_what_is_no_single_spiffe_id_of_the_pattern_is_nobody(names: Sequence[str]) -> None:
    assert agent(SPIFFE, *names) is None


@given(st.lists(st.text(max_size=40), max_size=3))
def test_no_names_break_it(names: list[str]) -> None:
    assert agent(SPIFFE, *names) is None
    assert spiffe_id(names) == ""


@pytest.mark.parametrize("text", ["spiffe://a/*/b", "spiffe://a/{x}/{x}", "spiffe://a/{id}", "{a}.{a}.test"])
def test_patterns_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\*|\{"):
        pattern_of(text)


def test_what_is_remembered_is_bounded() -> None:
    source = CertificateIdentity("spiffe://example.org/*", "{id}")
    for number in range(MOST_KEPT + 10):
        assert agent(source, f"spiffe://example.org/{number}")
    assert len(source._seen) <= MOST_KEPT


def test_a_key_that_is_shown_beside_a_certificate_is_kept_from_tools() -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    keys = ApiKeyIdentity("x-api-key", [Key(digest, "keyed")])
    shown = structs.replace(request(fields=[("X-Api-Key", "secret")]), certificate=("spiffe://example.org/ns/a/sa/b",))
    found = identify(shown, (SPIFFE, keys))
    assert isinstance(found, Agent)
    assert (found.id, found.credential, found.claims["ns"]) == ("a/b", b"x-api-key", "a")


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ((("DNS", "a.test"), ("URI", "spiffe://a/b"), ("IP Address", "1.2.3.4")), ("spiffe://a/b", "a.test")),
        ((("URI", "a.test"),), ()),
        ((("DNS", "spiffe://a/b"),), ()),
        ((("DNS", "spiffe://a/b"), ("URI", "spiffe://a/c")), ()),
    ],
)
def test_names_of_one_kind_are_not_taken_for_the_other(names: object, told: tuple[str, ...]) -> None:
    assert names_of({"subjectAltName": names}) == told
    assert names_of(None) == names_of({}) == ()
