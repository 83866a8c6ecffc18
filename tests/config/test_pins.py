"""The file of pins: what is written is read as the same, what was edited by hand is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.config.files import Files
from gateway.config.load import attempt
from gateway.config.pins import read_pins
from gateway.policy.pins import Pin, Pins, digest_of, first_digest_of
from gateway.policy.pins_text import description_of, text_of
from gateway.policy.visible import count_hidden, visible
from tests.config.support import GRANT, written

DOCS = GRANT.replace("[github]", "[docs]")
SEARCH = {
    "name": "search",
    "description": "  Finds documents.\n\nIn all \tlanguages.\u200b\U000e0041  \n",
    "inputSchema": {"type": "object", "properties": {"größe": {"minimum": 0.5, "maximum": 2**60}}},
}


def pins(*tools: dict[str, Any]) -> Pins:
    return Pins("docs", {tool["name"]: Pin(digest_of(tool), tool, "2026-11-24") for tool in tools})


def read(folder: Path, text: str) -> tuple[Pins, list[str]]:
    path = folder / "docs.pins.yaml"
    path.write_text(text)
    made, problems = read_pins(path, Files())
    return made, [str(problem).replace(f"{folder}/", "") for problem in problems]


def test_what_is_written_is_readable_and_shows_what_is_hidden() -> None:
    digest = digest_of(SEARCH)
    assert text_of(pins(SEARCH)).partition("\nversion")[2] == (
        ": 2\n"
        'server: "docs"\n'
        "tools:\n"
        '  "search":\n'
        f"    sha256: {digest}\n"
        '    pinned_at: "2026-11-24"\n'
        "    description: |2-\n"
        "      Finds documents.\n"
        "\n"
        "      In all \tlanguages.\\u200b\\udb40\\udc41\n"
        "    definition: |2-\n"
        "      {\n"
        '        "description": "  Finds documents.\\n\\nIn all \\tlanguages.\\u200b\\udb40\\udc41  \\n",\n'
        '        "inputSchema": {\n'
        '          "properties": {\n'
        '            "größe": {\n'
        '              "maximum": 1152921504606846976,\n'
        '              "minimum": 0.5\n'
        "            }\n"
        "          },\n"
        '          "type": "object"\n'
        "        },\n"
        '        "name": "search"\n'
        "      }\n"
    )


def test_what_is_written_is_read_as_the_same(tmp_path: Path) -> None:
    written = pins(SEARCH, {"name": "Zeit # : { 'x", "description": "- a\n---\n  : b\n...\n# c"}, {"name": "on"})
    assert read(tmp_path, text_of(written)) == (written, [])
    assert read(tmp_path, text_of(Pins("docs"))) == (Pins("docs"), [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(name=st.text(max_size=20), description=st.text(), schema=json_values, server=st.text(max_size=10))
def test_whatever_a_server_says_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, description: str, schema: Any, server: str
) -> None:
    tool = {"name": name, "description": description, "inputSchema": schema}
    written = Pins(server, {name: Pin(digest_of(tool), tool)})
    assert read(tmp_path_factory.mktemp("pins"), text_of(written)) == (written, [])
    assert count_hidden(text_of(written)) == 0


def test_a_file_that_is_not_there_approves_nothing(tmp_path: Path) -> None:
    made, problems = read_pins(tmp_path / "none.yaml", Files())
    assert (made.exists, made.tools, problems) == (False, {}, [])


def test_a_path_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="is not a file"):
        read_pins(tmp_path, Files())


@pytest.mark.parametrize(
    ("find", "instead", "told"),
    [
        ("version: 2", "version: 3", "docs.pins.yaml:3:10: version: must be at most 2, not 3"),
        ("sha256: ", "sha265: ", "docs.pins.yaml:7:5: tools.search.sha256 is missing"),
        (
            'largest"',
            'largestt"',
            "docs.pins.yaml:7:13: the digest is not that of the definition below it",
        ),
        (
            "      Finds documents.\n",
            "      Finds papers.\n",
            "docs.pins.yaml:9:18: the description is not the one of the definition",
        ),
        (
            '"title": "largest"',
            '"title": largest"',
            "docs.pins.yaml:26:18: the definition is not JSON: expected value (remove the entry and pin the tool anew",
        ),
        (
            '  "search":\n',
            '  "find":\n',
            "docs.pins.yaml:13:17: the definition is not that of a tool named 'find'",
        ),
        ("tools:", "tools", "docs.pins.yaml:6:11: there is no colon"),
        ("version: 2", "--- {}\n---\nversion: 2", "docs.pins.yaml:1:1: a file of pins is one document"),
    ],
)
def test_a_file_that_was_edited_is_told_with_its_place(tmp_path: Path, find: str, instead: str, told: str) -> None:
    text = text_of(pins({**SEARCH, "title": "largest"}))
    assert text.count(find) >= 1
    _, problems = read(tmp_path, text.replace(find, instead, 1))
    assert problems[0].startswith(told)


def test_a_file_of_version_1_still_holds_by_its_definitions(tmp_path: Path) -> None:
    tool = {**SEARCH, "inputSchema": {"type": "object"}}
    old = text_of(pins(tool)).replace("version: 2", "version: 1").replace(digest_of(tool), first_digest_of(tool))
    made, problems = read(tmp_path, old)
    assert problems == []
    assert (made.version, made.tools["search"].sha256) == (1, digest_of(tool))
    _, problems = read(tmp_path, old.replace("version: 1", "version: 2"))
    assert "the digest is not that of the definition" in problems[0]


def test_pins_are_of_a_server_at_an_address(tmp_path: Path) -> None:
    file = tmp_path / "docs.pins.yaml"
    file.write_text(text_of(structs.replace(pins(SEARCH), url="http://docs:7001/mcp")))
    config = "tools: {{docs: {{url: '{}', protocol: mcp, pins: {{file: docs.pins.yaml}}}}}}\n"
    assert attempt(written(tmp_path, config.format("http://docs:7001/mcp/"), grants=DOCS)).errors == []
    (error,) = attempt(written(tmp_path, config.format("http://other:7001/mcp"), grants=DOCS)).errors
    assert "was approved of http://docs:7001/mcp, and docs is at http://other:7001/mcp" in str(error)
    file.write_text(text_of(pins(SEARCH)))
    assert attempt(written(tmp_path, config.format("http://other:7001/mcp"), grants=DOCS)).errors == []


def test_a_description_is_shown_by_its_first_lines() -> None:
    shown = description_of({"description": "\n".join(f"line {number}" for number in range(100))})
    assert shown.splitlines()[-2:] == ["line 39", "(60 more lines)"]
    assert description_of({"description": 5}) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größer, 文書, 🎉\n\tx", "plain, größer, 文書, 🎉\n\tx"),
        ("a\u200bb\u202ec", "a\\u200bb\\u202ec"),
        ("\x1b[2J\r", "\\u001b[2J\\u000d"),
        ("\u00a0\u3164\ufe0f\u2028", "\\u00a0\\u3164\\ufe0f\\u2028"),
        ("\U000e0041", "\\udb40\\udc41"),
    ],
)
def test_hidden_characters_are_shown(text: str, shown: str) -> None:
    assert visible(text) == shown
