"""Files that browsers get: those of others are as they were published, and nothing is inline."""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files

import pytest

from gateway.console.pages import STATIC

FOLDER = files("gateway.console")
TEMPLATES = sorted(one.name for one in (FOLDER / "templates").iterdir() if one.name.endswith(".html"))


def test_vendored_files_are_as_published_and_their_licence_is_there():
    noted = (FOLDER / "static" / "VENDORED").read_text()
    found = dict(re.findall(r"^([0-9a-f]{64})  (\S+)", noted, re.MULTILINE))
    assert len(found) == 2
    for digest, name in found.items():
        assert sha256((FOLDER / "static" / name).read_bytes()).hexdigest() == digest, name
    assert "Zero-Clause BSD" in (FOLDER / "static" / "htmx.LICENSE").read_text()
    assert set(found.values()) <= STATIC.keys()


@pytest.mark.parametrize("name", TEMPLATES)
def test_templates_have_nothing_that_the_policy_of_pages_forbids_or_that_is_not_escaped(name):
    text = (FOLDER / "templates" / name).read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]*\ssrc=\"/static/)", text)
    assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), "all that is written out is escaped"
    assert not re.search(r"(src|href|action)=\"(https?:)?//", text), "nothing is loaded from elsewhere"
    assert not re.search(r"hx-on|hx-vals=['\"]js|hx-trigger=\"[^\"]*\[", text), "htmx would evaluate these"


def test_styles_and_scripts_load_nothing_from_elsewhere():
    for name in ("console.css", "approvals.css", "console.js", "approvals.js", "icon.svg"):
        text = (FOLDER / "static" / name).read_text()
        assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", text), name
        assert not re.search(r"innerHTML|insertAdjacentHTML|eval\(|new Function|document\.write", text), name
