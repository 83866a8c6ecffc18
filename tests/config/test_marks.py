"""YAML with places: what is read, and what is refused with which words."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import marks
from gateway.config.marks import MOST_NODES
from gateway.config.scalars import place_in


def problems(text: str) -> list[str]:
    return [f"{one.line}:{one.column}: {one.message} ({one.hint})" for one in marks.read(text)[1]]


def value(text: str) -> object:
    (document,), found = marks.read(text)
    assert found == []
    return document.plain()


MISTAKES = {
    "when: !(a)": "1:7: YAML takes '!(a)' for a tag, and tags are not supported (text that begins with ! must be in "
    "quotes: '!(...)')",
    "a: !!int 1": "1:4: YAML takes 'tag:yaml.org,2002:int' for a tag, and tags are not supported (remove it)",
    "tools: [*]": "1:10: YAML takes a * or & at the beginning for an alias (text that begins with * or & must be in "
    'quotes: "*")',
    "a: *x": '1:4: YAML takes *x for an alias, and there is no &x (text that begins with * must be in quotes: "*x")',
    "a: &x {b: *x}": "1:11: YAML takes *x for an alias, and there is no &x (text that begins with * must be in quotes: "
    '"*x")',
    "a: @x": "1:4: text cannot begin with @ (put the text in quotes)",
    "a:\n\t- b": "2:1: a tab is used for indentation (use spaces)",
    "b: {c: ${env:Y}}": "1:8: YAML takes the { of ${...} for a mapping here (inside [ ] and { } write ${...} in "
    "quotes)",
    "a: b: c": "1:5: a colon is not allowed here (check the indentation; text that contains ': ' must be in quotes)",
    "a: 1\n b: 2": "2:3: a colon is not allowed here (check the indentation; text that contains ': ' must be in "
    "quotes)",
    "a: 'x\nb: 1": "1:4: a quote is never closed (close it, or double a ' inside '...')",
    'a: "\\q"': "1:5: unknown escape in a double-quoted text (use single quotes, or write \\\\ for a backslash)",
    "a: \x01": '1:4: the character U+0001 is not allowed in YAML (write it as an escape in double quotes: "\\u0000")',
    "é: 1\na: \x01": "2:4: the character U+0001 is not allowed in YAML (write it as an escape in double quotes: "
    '"\\u0000")',
    "- a\nb: 1": "2:1: this does not line up with the list above (begin entries with - at the same indentation, and "
    "their keys below the first one)",
    "a:\n  b: 1\n c: 2": "3:2: this does not line up with the keys above (give keys of one mapping the same "
    "indentation)",
    "a: {b: 1": "1:4: the mapping that opens with { goes wrong here (separate entries by commas; close it with })",
    "a: [b, 1": "1:4: the list that opens with [ goes wrong here (separate entries by commas; close it with ])",
    "a: 1\nb: 2\na: 3": "3:1: the key 'a' is given twice here, first on line 1 (remove one of the two)",
    "a: {x: 1, x: 2}": "1:11: the key 'x' is given twice here, first on line 1 (remove one of the two)",
    "1: a": '1:1: a key must be text, not 1 (write "1" in quotes)',
    "true: a": '1:1: a key must be text, not true (write "true" in quotes)',
    "[a]: b": "1:1: a key must be text, not a list or a mapping ()",
    "<<: {a: 1}": "1:1: merge keys (<<) are not supported (write the keys out)",
    "[" * 70 + "]" * 70: "1:66: nested deeper than 64 levels (nothing here needs that)",
    "[" * 2000: "1:1001: lists and mappings are nested too deep (nothing here needs that)",
}


@pytest.mark.parametrize("text", MISTAKES, ids=lambda text: text[:20])
def test_each_mistake_is_told_with_its_place_and_the_fix(text: str) -> None:
    assert problems(text) == [MISTAKES[text]]


def test_aliases_of_aliases_are_stopped_before_they_are_billions() -> None:
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]" for n in range(9)]
    assert problems("\n".join(lines)) == [f"6:11: there are more than {MOST_NODES} values in this file (split it)"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on: off", {"on": "off"}),
        ("a: [yes, NO, y, 10:30, 2024-01-01, 1_000, 0x1F, .inf]",
         {"a": ["yes", "NO", "y", "10:30", "2024-01-01", "1_000", "0x1F", ".inf"]}),
        ("a: [true, False, null, ~, 1, -2, 0.5, 1e3, '1', \"true\"]",
         {"a": [True, False, None, None, 1, -2, 0.5, 1000.0, "1", "true"]}),
        ("a: !!str 1", {"a": "1"}),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("a:", {"a": None}),
        ("a: >-\n  x\n  y\n", {"a": "x y"}),
    ],
)  # fmt: skip
def test_scalars_are_what_they_look_like(text: str, expected: object) -> None:
    assert value(text) == expected


def test_documents_before_a_mistake_of_syntax_are_kept() -> None:
    documents, found = marks.read("a: 1\n---\nb: [\n")
    assert documents[0].plain() == {"a": 1}
    assert len(found) == 1


def test_places_of_keys_and_values_are_found_by_path() -> None:
    (root,), _ = marks.read("a:\n  - b: 1\n    c: [x, yy]\n")
    assert (root.at(["a", 0, "c", 1]).line, root.at(["a", 0, "c", 1]).column) == (3, 12)
    assert (root.key_at(["a", 0, "c"]).line, root.key_at(["a", 0, "c"]).column) == (3, 5)
    assert root.at(["a", 0, "missing", "deeper"]) is root.at(["a", 0])


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x85\u2028\u2029"), max_size=12).filter(
    lambda text: re.fullmatch(r"[-+.0-9][-+.0-9eE]*", text) is None
)
"""Not the line breaks of other alphabets, which the dumper cannot read back itself; nor 0E0, text to its YAML 1.1."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab: #'\"\\é", max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_whatever_is_dumped_is_read_back(data: object, flow: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    documents, found = marks.read(text)
    assert (found, [document.plain() for document in documents]) == ([], [data])


@given(st.text(st.sampled_from("ab:-[]{}#&*!|>'\"%@` \n\t,?é\x00"), max_size=40))
def test_no_text_breaks_the_reader(text: str) -> None:
    documents, found = marks.read(text)
    for document in documents:
        document.plain()
    assert all(one.line >= 1 and one.column >= 1 and one.message for one in found)


@given(
    st.lists(st.text(st.sampled_from("abc.=('é"), min_size=1, max_size=6), min_size=1, max_size=6),
    st.sampled_from(["plain", "'", '"', "|", ">", ">-", "|2-"]),
    st.data(),
)
def test_a_place_in_a_value_is_found_in_the_file_whatever_the_style(
    words: list[str], style: str, data: st.DataObject
) -> None:
    breaks = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    words = [f"w{word}" for word in words]
    body = words[0]
    for word, breaks_line in zip(words[1:], breaks[1:], strict=True):
        body += ("\n  " if breaks_line else " ") + word
    if style == "plain":
        text = f"x: 1\nkey: {body}\n"
    elif style == "'":
        text = "x: 1\nkey: '" + body.replace("'", "''") + "'\n"
    elif style == '"':
        text = 'x: 1\nkey: "' + body.replace("c", "\\x63") + '"\n'
    else:
        text = f"x: 1\nkey: {style}\n  {body}\n"
    (root,), found = marks.read(text)
    assert found == []
    node = root.at(["key"])
    lines = node.value.split("\n")
    at = data.draw(
        st.sampled_from([(n, m) for n, line in enumerate(lines) for m, c in enumerate(line) if not c.isspace()])
    )
    line, column = place_in(text, node, at[0] + 1, at[1] + 1)
    shown = text.split("\n")[line - 1][column - 1 :]
    wanted = lines[at[0]][at[1]]
    assert shown.startswith("\\x63" if style == '"' and wanted == "c" else wanted)
    before = "".join(text.split("\n")[: line - 1]) + text.split("\n")[line - 1][: column - 1]
    words_before = sum(before.count(character) for character in "w")
    assert words_before == "\n".join(lines)[: sum(len(one) + 1 for one in lines[: at[0]]) + at[1]].count("w")
