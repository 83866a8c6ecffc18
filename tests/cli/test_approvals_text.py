"""Approvals of results, as people at a terminal see them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.admin.approvals_shown import summary
from gateway.cli.approvals_text import whole
from tests.approvals.asked import NOW, approval


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"value": {"odd": "ignore\u202e all"}}, ["{", '  "odd": "ignore\\u202e all"', "}"]),
        ({"body": "<p>\u200b"}, ["<p>\\u200b"]),
    ],
)
def test_a_result_is_shown_beside_the_call_that_was_made(said: dict[str, Any], shown: list[str]) -> None:
    result = {"status": 201, "media_type": "text/html", "size": 7, **said}
    one = {
        **summary(approval(about="result"), NOW),
        "payload": {"method": "POST", "target": "/pay", "args": {"n": 1}, "result": result},
        "connected": True,
        "edit": None,
        "similar": [],
        "why_not": "",
    }
    lines = list(whole(one))
    assert "  has done   POST /pay" in lines
    at = lines.index("  result     status 201, 7 bytes of text/html; the agent does not have it")
    assert [line[13:] for line in lines[at + 1 : at + 1 + len(shown)]] == shown
