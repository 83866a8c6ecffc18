"""JSON that every parser reads alike, or none of it."""

from __future__ import annotations

import json
import math

import jiter
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.understand.strict_json import DEEPEST, LARGEST, parse


@pytest.mark.parametrize(
    ("text", "place"),
    [
        # Repeated names: parsers take the first, the last, both or fail.
        (b'{"to": "a", "to": "b"}', "line 1 column"),
        (b'{"a": {"b": 1, "b": 1}}', "line 1 column"),
        (b'{"to": 1, "\\u0074o": 2}', "line 1 column"),
        (b'{"": 1, "": 2}', "line 1 column"),
        (b'{"a":\n[{"x": 1,\n"x": 2}]}', "line 3 column"),
        # Numbers that a double, or a parser, does not hold.
        (b'{"n": NaN}', "column"),
        (b'{"n": Infinity}', "column"),
        (b'{"n": -Infinity}', "column"),
        (b'{"a": {"n": 1e999}}', "$.a.n"),
        (b'{"n": [1, -1e400]}', "$.n[1]"),
        (b'{"n": 1E+309}', "$.n"),
        (b'{"n": 1e0309}', "$.n"),
        (b'{"items": [{"id": 9007199254740993}]}', "$.items[0].id"),
        (b'{"n": -9007199254740993}', "$.n"),
        (b'{"n": 123456789012345678901234567890}', "$.n"),
        (b'{"n": 01}', "column"),
        (b'{"n": +1}', "column"),
        (b'{"n": .5}', "column"),
        (b'{"n": 1.}', "column"),
        (b'{"n": 0x10}', "column"),
        (b'{"n": 1_000}', "column"),
        # Text that some parsers replace or cut.
        (b'{"s": "\\ud800"}', "column"),
        (b'{"s": "\\udc00"}', "column"),
        (b'{"s": "\\ud800\\ud800"}', "column"),
        (b'{"s": "\xff"}', "column"),
        (b'{"s": "\xed\xa0\x80"}', "column"),
        (b'{"s": "\xc0\xaf"}', "column"),
        (b'{"s": "a\x00b"}', "column"),
        (b'{"s": "a\nb"}', "line"),
        (b'{"s": "\\x41"}', "column"),
        (b"{'s': 1}", "column"),
        (b"{s: 1}", "column"),
        # More or less than one JSON text.
        (b'{"a": 1}{"a": 2}', "column"),
        (b'{"a": 1} x', "column"),
        (b'{"a": 1}\x00', "column"),
        (b'{"a": 1,}', "column"),
        (b"[1,]", "column"),
        (b'{"a": 1 /* x */}', "column"),
        (b'\xef\xbb\xbf{"a": 1}', "column"),
        (b"\xfe\xff\x00{\x00}", "column"),
        (b"", "line 1"),
        (b'{"a": ', "column"),
    ],
)
def test_what_parsers_read_in_different_ways_is_refused_with_the_place(text, place):
    with pytest.raises(ValueError) as error:
        parse(text)
    assert place in str(error.value)


def test_a_repeated_name_is_named():
    with pytest.raises(ValueError, match='duplicate key "to"'):
        parse(b'{"to": 1, "to": 2}')


def test_nesting_is_bounded_exactly():
    def nested(depth: int) -> bytes:
        return b'{"a":' * (depth - 1) + b"[]" + b"}" * (depth - 1)

    parse(nested(DEEPEST))
    with pytest.raises(ValueError, match=f"deeper than {DEEPEST}"):
        parse(nested(DEEPEST + 1))


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_very_deep_nesting_breaks_nothing(depth):
    with pytest.raises(ValueError):
        parse(b"[" * depth + b"]" * depth)


def test_many_brackets_side_by_side_are_not_deep():
    assert parse(b"[" + b",".join([b"{}"] * 500) + b"]") == [{}] * 500


@pytest.mark.parametrize("number", [LARGEST, -LARGEST, LARGEST - 1, 0, 1234567890123456])
def test_integers_up_to_2_to_the_53_are_exact_everywhere_and_taken(number):
    assert parse(b"[%d]" % number) == [number]


def test_digits_inside_text_are_text():
    assert parse(b'{"card": "99999999999999999999", "e": "1e999"}') == {"card": "9" * 20, "e": "1e999"}


@pytest.mark.parametrize("text", [b"1e308", b"1.7976931348623157e308", b"1e-400", b"0.1", b"-0.0", b"1E5"])
def test_doubles_that_a_double_holds_are_taken(text):
    assert parse(text) == json.loads(text)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.booleans())
def test_plain_json_is_taken_as_it_is(value, ascii_only):
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


TOKENS = (
    rb'{"a": "a" "\u0061" "b": [ ] { } , : 1 -0 1.5 1e5 E400 9007199254740993 NaN null true "\ud83d" "\ud83d\ude00"'
)
FRAGMENTS = st.lists(st.sampled_from([*TOKENS.split(), b" ", b"\n", b"\xc3\xa9", b'"\xff"']), max_size=14).map(b"".join)


def mutated(value: object, at: int, patch: bytes) -> bytes:
    text = json.dumps(value, ensure_ascii=True).encode()
    at %= len(text) + 1
    return text[:at] + patch + text[at + len(patch) :]


@given(
    st.one_of(FRAGMENTS, st.builds(mutated, JSON, st.integers(0, 200), st.binary(max_size=3)), st.binary(max_size=20))
)
@example(b'{"a":1,"a":2}')
@example(b"[1e400]")
@example(b"[9007199254740993]")
def test_whatever_is_accepted_every_common_parser_reads_alike(text):
    try:
        value = parse(text)
    except ValueError:
        return

    def no_repeats(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), "a repeated name was accepted"
        return dict(pairs)

    assert json.loads(text, object_pairs_hook=no_repeats) == value
    assert orjson.loads(text) == value
    assert jiter.from_json(text, allow_inf_nan=False) == value
    for number in numbers(value):
        assert math.isfinite(number)
        assert isinstance(number, float) or abs(number) <= LARGEST


def numbers(value):
    """Every number inside a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value
