"""Lines in common, differences, and merges: held against plain definitions of what they are."""

from __future__ import annotations

import json
from difflib import SequenceMatcher

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.coherence.differences import MOST_CHARACTERS, MOST_LINES, difference
from gateway.coherence.lines import blocks
from gateway.coherence.merging import merged

LINES = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("xy", max_size=3) | st.just(1.5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


@given(LINES, LINES)
def test_blocks_are_a_longest_common_subsequence(left, right):
    found = blocks(left, right)
    x = y = 0
    for block in found:
        assert block.left >= x, "in order"
        assert block.right >= y
        x, y = block.left + block.length, block.right + block.length
        assert left[block.left : x] == right[block.right : y]
    assert (x, y) == (len(left), len(right))
    assert sum(block.length for block in found) == _longest(left, right)


def _longest(left, right):
    row = [0] * (len(right) + 1)
    for one in left:
        before = row
        row = [0]
        for number, other in enumerate(right):
            row.append(before[number] + 1 if one == other else max(row[-1], before[number + 1]))
    return row[-1]


def test_texts_that_differ_in_too_much_are_not_compared():
    left, right = [f"l{n}" for n in range(150)], [f"r{n}" for n in range(150)]
    assert blocks(left, right) is None
    assert blocks([], right * 2) is None
    assert difference("\n".join(left), "\n".join(right)) == "most of it: 639 characters before, 639 now"


def test_a_difference_of_texts_shows_what_is_gone_and_new_with_some_context():
    before, after = "one\ntwo\nthree\nfour\nfive\nsix\n", "one\ntwo\nthree\n4\nfive\nsix\nseven\n"
    assert difference(before, after).splitlines() == [
        "@@ line 4 @@",
        " two",
        " three",
        "-four",
        "+4",
        " five",
        " six",
        "@@ line 7 @@",
        " five",
        " six",
        "+seven",
    ]


def test_a_difference_of_objects_shows_paths():
    before = json.dumps({"title": "x", "tags": ["a", "b"], "by": {"who": "ann"}, "n": 1})
    after = json.dumps({"title": "y", "tags": ["a", "c"], "by": {"who": "ann", "a b": 2}})
    assert difference(before, after).splitlines() == [
        '- title: "x"',
        '+ title: "y"',
        '- tags[1]: "b"',
        '+ tags[1]: "c"',
        '+ by["a b"]: 2',
        "- n: 1",
    ]
    assert difference('{"a": 1}', '{"a":1}') == "the same JSON, written otherwise"


@given(st.text(max_size=40), st.text(max_size=40))
def test_only_the_same_text_has_no_difference(before, after):
    assert (difference(before, after) == "") == (before == after)


@pytest.mark.parametrize(
    "after", ["\n".join(f"{n}" for n in range(100)), "x" * 100_000, json.dumps({f"k{n}": n for n in range(1000)})]
)
def test_a_difference_is_short_whatever_was_written(after):
    shown = difference("{}" if after.startswith("{") else "", after)
    assert len(shown) <= MOST_CHARACTERS + 20
    assert len(shown.splitlines()) <= MOST_LINES + 1


@given(LINES, LINES, LINES)
def test_a_merge_by_lines_holds_both_changes(base, ours, theirs):
    """Against the definition: a merge exists for one that has changed nothing, is the same from both sides, and of
    lines that only one has added, none is lost."""
    texts = ["".join(f"{line}\n" for line in lines) for lines in (base, ours, theirs)]
    found = merged(*texts)
    assert merged(texts[0], texts[1], texts[0]).text == texts[1]
    assert merged(texts[0], texts[0], texts[2]).text == texts[2]
    assert merged(texts[0], texts[2], texts[1]).text == found.text
    assert bool(found.clash) == (found.text is None)
    if found.text is None:
        return
    for text in texts[1:]:
        for tag, _, _, start, end in SequenceMatcher(None, base, text.split("\n")[:-1], False).get_opcodes():
            if tag == "insert":
                assert all(line in found.text for line in text.split("\n")[start:end])


@given(OBJECTS, OBJECTS, OBJECTS)
@settings(max_examples=200)
def test_a_merge_of_objects_takes_each_path_from_who_changed_it(base, ours, theirs):
    found = merged(*(json.dumps(value) for value in (base, ours, theirs)))
    if found.text is None:
        assert found.clash
        return
    value = json.loads(found.text)
    for name in "abcd":
        was, have, stands = base.get(name), ours.get(name), theirs.get(name)
        if json.dumps(have) == json.dumps(was):
            assert json.dumps(value.get(name)) == json.dumps(stands)
        elif json.dumps(stands) == json.dumps(was):
            assert json.dumps(value.get(name)) == json.dumps(have)


def test_changes_of_other_lines_merge_and_changes_of_the_same_line_clash():
    base = "# plan\n- milk\n- bread\n- eggs\n"
    ours, theirs = base.replace("milk", "oat milk"), base.replace("eggs", "twelve eggs")
    assert merged(base, ours, theirs).text == "# plan\n- oat milk\n- bread\n- twelve eggs\n"
    clash = merged(base, ours, base.replace("milk", "soy milk"))
    assert clash.text is None
    assert clash.clash.splitlines() == [
        "@@ line 2 of what stands, and what you would write there @@",
        "-- soy milk",
        "+- oat milk",
    ]


def test_two_lines_added_at_the_same_place_clash_since_nobody_knows_their_order():
    assert merged("a\n", "a\nb\n", "a\nc\n").text is None


def test_changes_of_other_members_merge_and_of_the_same_member_clash():
    found = merged('{"a":1,"b":{"c":2}}', '{"a":1,"b":{"c":3}}', '{"a":5,"b":{"c":2,"d":1}}')
    assert json.loads(found.text) == {"a": 5, "b": {"c": 3, "d": 1}}
    assert merged('{"a":1}', '{"a":2}', '{"a":3}').clash == "both have changed a"
    assert merged('{"a":1}', "{}", '{"a":3}').clash == "both have changed a", "removed by one, changed by the other"


def test_a_merge_of_objects_is_written_over_lines_where_the_write_is():
    found = merged('{"a":1}', '{\n "a": 1,\n "b": 2\n}', '{"a":3}')
    assert found.text == '{\n  "a": 3,\n  "b": 2\n}'


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', '{"a":0.10000000000000000001}', '{"a":1e400}', '{"a":NaN}'])
def test_objects_that_could_not_be_written_again_as_they_were_are_merged_as_lines_or_not_at_all(text):
    assert merged('{"a":1}', text, '{"b":1}').text is None


def test_a_number_and_a_list_are_no_place_for_two_changes():
    assert merged("4", "5", "6").text is None
    assert merged("[1]", "[1,2]", "[0,1]").text is None


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [("5", "6", "6"), ('{"n":5}', '{"n":6}', '{"n":6}'), ("a\n5\nb\nc\n", "a\n6\nb\nc\n", "a\n6\nb\nd\n")],
)
def test_two_who_change_the_same_in_the_same_way_clash(base: str, ours: str, theirs: str) -> None:
    """Each has added one to five: the sum is seven, and nobody can see that in the texts."""
    assert merged(base, ours, theirs).text is None


def test_what_both_take_out_is_out() -> None:
    assert merged("a\nb\nc\n", "a\nc\n", "a\nc\nd\n").text == "a\nc\nd\n"
    assert merged('{"a":1,"b":2}', '{"b":2}', '{"b":3}').text == '{"b":3}'
