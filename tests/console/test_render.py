"""Pages out of templates: whatever strangers write stays text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.pieces import whole
from gateway.console.render import (
    as_json,
    environment,
    link,
    measure,
    milliseconds,
    moment,
    page,
    query,
    render,
    size,
    took,
    usd,
)
from gateway.policy.visible import visible

NASTY = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "\"'><img src=x onerror=alert(1)>",
            "{{ 7 * 7 }}",
            "{% raw %}",
            "</td></tr></table><svg/onload=1>",
            "</template><hx-partial hx-target=body>",
            "\u202egpj.exe",
            "a\nb\r\n\r\ndata: x",
            "\ud800",
        ]
    ),
)


class _Reader(HTMLParser):
    """Elements and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))

    def handle_data(self, data):
        self.words += data


def rows(text: str) -> str:
    record = whole(
        {
            "ts": "2026-11-30T03:00:00.000Z", "call": "c1", "agent": text, "run": text, "tool": "bank", "status": 403,
            "operation": text, "decision": "refuse", "rule": text, "reason": text,
        }
    )  # fmt: skip
    return render("rows.html", calls=[record], more=0, live=True)


@given(NASTY)
def test_a_row_has_the_same_elements_whatever_its_strings_are(text):
    plain, told = _Reader(rows("x")), _Reader(rows(text or "y"))
    assert told.elements == plain.elements
    assert visible(text).split() == [] or visible(text).split()[0] in told.words


@given(st.recursive(NASTY, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NASTY, inner, max_size=3)))
def test_json_of_strangers_is_escaped(value):
    try:
        text = str(as_json(value))
    except TypeError:
        return  # a lone surrogate: no record has one
    assert "<" not in text
    assert ">" not in text


@given(st.text(max_size=30), st.text(max_size=30))
def test_an_address_of_a_page_leads_to_the_names_that_it_was_made_from(agent, run):
    address = link("runs", agent, run)
    parts = urlsplit(address)
    clean = [name.encode("utf-8", "replace").decode() for name in (agent, run)]
    if parts.path == "/at/runs":
        assert parse_qs(parts.query, keep_blank_values=True)["part"] == clean
    else:
        _, kind, *names = parts.path.split("/")
        assert kind == "runs"
        assert [unquote(name) for name in names] == clean
    assert not {"", ".", ".."} & set(parts.path.strip("/").split("/"))
    assert parts.netloc == ""


def test_names_that_browsers_take_for_steps_of_a_path_go_by_query():
    assert link("runs", None, "..") == "/at/runs?part=&part=.."
    assert link("agents", "a/b") == "/agents/a%2Fb"
    assert query("/search", text="a b", tool="", more=None) == "/search?text=a+b"


def test_a_page_forbids_what_it_does_not_need():
    answer = page("shut.html", text="no")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; ")
    assert "unsafe" not in policy
    for part in ("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
        assert part in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (usd(0), "$0.00"),
        (usd(12.5), "$12.50"),
        (usd(0.002), "$0.002"),
        (usd(-0.001), "-$0.001"),
        (usd(-12.5), "-$12.50"),
        (usd(None), "-"),
        (milliseconds(0.4), "0.4 ms"),
        (milliseconds(450), "450 ms"),
        (milliseconds(1500), "1.50 s"),
        (took(75), "1 min 15 s"),
        (took(7300), "2 h 1 min"),
        (took(200_000), "2 d 7 h"),
        (size(512), "512 B"),
        (size(2048), "2.0 KiB"),
        (measure(0.5, "usd"), "$0.50"),
        (measure(1200, "tokens"), "1,200 tokens"),
    ],
)
def test_numbers_are_short(told, text):
    assert told == text


def test_a_time_tells_its_instant_to_the_script():
    assert str(moment(0.25)) == (
        '<time datetime="1970-01-01T00:00:00.250Z" data-form="moment">1970-01-01 00:00:00 UTC</time>'
    )


@pytest.mark.parametrize(
    ("guard", "said"),
    [
        ({"left": 3, "state": "repeats"}, "circles: refused, repeats"),
        ({"left": 2, "state": None}, "circles: refused, 2 left"),
        (
            {"left": 0.25, "state": "warn", "budget": {"unit": "usd", "limit": 2.5, "reserved": 0, "spent": 0}},
            "circles: refused: $0.25 left of $2.50, warn",
        ),
    ],
)
def test_a_guard_says_what_is_left_where_something_can_be_used_up(guard, said):
    whole = {"guard": "circles", "granted": False, "retry_after": 0, "detail": None} | guard
    macro = environment().from_string('{% import "macros.html" as m %}{{ m.guard_words(guard) }}')
    assert re.sub(r"<[^>]*>", "", macro.render(guard=whole)) == said
