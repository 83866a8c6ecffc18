"""What is written into an expression before an engine compiles it: ``default()``, times made timestamps, and another
name for ``matches`` where the engine has a faster one.

``default(args.a.b, 0)`` becomes ``(has(args.a) && has(args.a.b) ? args.a.b : (0))``. It must be a macro, since the
arguments of a function are evaluated before it, and a field that is missing fails there. Places are kept: an engine
complains of the text that it got, and ``Rewritten.place`` tells where that stands in the text as the user wrote it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.policy.engine import EXPANDED_CAP, TIMESTAMP, CelError, CelType
from gateway.policy.tokens import Token, arguments, closing, place

MACRO = "default"
STEPS_CAP = 16
"""Steps of one field: each is tested, and its test repeats what stands before it."""
_TOO_LONG = f"with default() written out the expression has more than {EXPANDED_CAP} characters"
_Test = tuple[str | None, ...]
"""Text of a test; None is what stands before the step."""

_USAGE = "write default(args.x, 0): a field that may be missing, and what stands for it"


class _Piece(Struct, frozen=True):
    """Text of the result. ``origin`` is where it comes from; what is ``copied`` stands there letter by letter."""

    text: str
    origin: int
    copied: bool = False


class Rewritten(Struct, frozen=True):
    """``text`` is for the engine; ``source`` as it was written."""

    text: str
    source: str
    pieces: tuple[_Piece, ...] = ()

    def place(self, line: int, column: int) -> tuple[int, int]:
        """Line and column, from 1, in the source, for those in the text."""
        if not self.pieces:
            return line, column
        lines = self.text.split("\n")
        offset = sum(len(before) + 1 for before in lines[: line - 1]) + column - 1
        starts = [0]
        for piece in self.pieces:
            starts.append(starts[-1] + len(piece.text))
        found = min(max(bisect_right(starts, offset) - 1, 0), len(self.pieces) - 1)
        piece = self.pieces[found]
        within = min(offset - starts[found], len(piece.text)) if piece.copied else 0
        return place(self.source, piece.origin + within)


def rewrite(
    source: str,
    tokens: Sequence[Token],
    variables: Mapping[str, CelType],
    matches: str = "",
    *,
    lax_has: bool = False,
) -> Rewritten:
    """``source`` for an engine. ``variables`` are the declared ones, by dotted names; ``matches`` is what the method
    is called that takes the place of ``matches`` with a literal pattern, or empty. ``lax_has``: the engine's own
    ``has(x.f)`` is false where x is missing or no map; CEL's fails, and so it is written here.

    Raises:
        CelError: ``default`` is not used as it must be, or the result would have more than EXPANDED_CAP characters.
    """
    times = [tuple(re.split(r"(\.)", name)) for name, kind in variables.items() if kind == TIMESTAMP]
    writer = _Writer(source, tokens, variables, times, matches, lax_has=lax_has)
    if not any(map(writer.rewrites, range(len(tokens)))):
        return Rewritten(source, source)
    pieces = tuple(writer.span(0, len(tokens)))
    if sum(len(piece.text) for piece in pieces) > EXPANDED_CAP:
        raise CelError(_TOO_LONG, hint="split it into several rules")
    return Rewritten("".join([piece.text for piece in pieces]), source, pieces)


class _Writer:
    def __init__(
        self,
        source: str,
        tokens: Sequence[Token],
        variables: Mapping[str, CelType],
        times: Sequence[tuple[str, ...]],
        matches: str,
        *,
        lax_has: bool,
    ) -> None:
        self.source, self.tokens, self.variables, self.times = source, tokens, variables, times
        self.matches, self.lax_has = matches, lax_has

    def rewrites(self, at: int) -> bool:
        """Whether something begins here that is written otherwise."""
        return bool(self.is_default(at) or self.time(at) or self.is_matches(at) or self.selection(at))

    def text(self, at: int) -> str:
        """The token's text; empty behind the last."""
        return self.tokens[at].text if 0 <= at < len(self.tokens) else ""

    def is_default(self, at: int) -> bool:
        return self.text(at) == MACRO and self.text(at + 1) == "(" and self.text(at - 1) != "."

    def selection(self, at: int) -> int:
        """The closing bracket of ``has(x.f)`` that is to be written out; 0 where there is none, or x is a variable."""
        if not self.lax_has or self.text(at) != "has" or self.text(at + 1) != "(" or self.text(at - 1) == ".":
            return 0
        close = closing(self.tokens, at + 1)
        if close >= len(self.tokens) or close < at + 5 or self.text(close - 2) != ".":
            return 0
        base = "".join([token.text for token in self.tokens[at + 2 : close - 2]])
        return 0 if base in self.variables else close

    def is_matches(self, at: int) -> bool:
        """Whether this is the name in ``.matches("literal")``."""
        if not self.matches or self.text(at) != "matches" or self.text(at - 1) != "." or self.text(at + 1) != "(":
            return False
        pattern = self.text(at + 2)
        return pattern[:1] in ("'", '"', "r", "R") and pattern[-1:] in ("'", '"') and self.text(at + 3) == ")"

    def time(self, at: int) -> int:
        """How many tokens from here name a time; 0 where they do not."""
        if not self.times or self.tokens[at].kind != "ident" or self.text(at - 1) == ".":
            return 0
        for words in self.times:
            if tuple([token.text for token in self.tokens[at : at + len(words)]]) == words:
                return len(words)
        return 0

    def span(self, first: int, last: int) -> list[_Piece]:
        """The tokens from ``first`` up to ``last``, rewritten."""
        pieces: list[_Piece] = []
        copied, at = self.tokens[first].start, first

        def copy(end: int) -> None:
            if end > copied:
                pieces.append(_Piece(self.source[copied:end], copied, copied=True))

        while at < last:
            start = self.tokens[at].start
            if self.is_default(at):
                close = self.close(at + 1)
                copy(start)
                pieces += self.default(at, close)
                at = close + 1
            elif close := self.selection(at):
                copy(start)
                pieces += self.has(at, close)
                at = close + 1
            elif self.is_matches(at):
                copy(start)
                pieces.append(_Piece(self.matches, start))
                at += 1
            elif length := self.time(at):
                copy(start)
                end = self.tokens[at + length - 1].end
                pieces += [
                    _Piece("timestamp(", start),
                    _Piece(self.source[start:end], start, copied=True),
                    _Piece(")", start),
                ]
                at += length
            else:
                at += 1
                continue
            copied = self.tokens[at - 1].end
        copy(self.tokens[last - 1].end)
        return pieces

    def close(self, at: int) -> int:
        """The bracket that closes the one at ``at``."""
        found = closing(self.tokens, at)
        if found == len(self.tokens):
            where = place(self.source, self.tokens[at].start)
            raise CelError("a bracket is not closed", *where, "add the one that is missing")
        return found

    def default(self, at: int, close: int) -> list[_Piece]:
        """``default(FIELD, FALLBACK)``, whose name is at ``at``, written out."""
        comma = self.comma(at)
        origin = self.tokens[at].start
        guards = self.guards(at + 2, comma)
        if not guards:
            name = self.source[self.tokens[at + 2].start : self.tokens[comma - 1].end][:80]
            raise CelError(f"{name} has no field that could be missing", *place(self.source, origin), _USAGE)
        field = self.span(at + 2, comma)
        if sum(len(piece.text) for pieces in (field, *guards) for piece in pieces) > EXPANDED_CAP:
            raise CelError(_TOO_LONG, *place(self.source, origin), "use fewer default() within default()")
        pieces = [_Piece("(", origin)]
        for number, guard in enumerate(guards):
            pieces += [_Piece(" && " if number else "", origin), *guard]
        return [
            *pieces,
            _Piece(" ? ", origin),
            *field,
            _Piece(" : (", origin),
            *self.span(comma + 1, close),
            _Piece("))", origin),
        ]

    def has(self, at: int, close: int) -> list[_Piece]:
        """``has(x.f)`` as CEL has it: it fails where x is missing, or no map."""
        origin, base = self.tokens[at].start, self.span(at + 2, close - 2)
        field = self.text(close - 1)
        pieces = [_Piece("(type(dyn(", origin), *base, _Piece(")) == map ? has(", origin), *base]
        return [*pieces, _Piece(f".{field}) : dyn(", origin), *base, _Piece(f").{field} == 0)", origin)]

    def comma(self, at: int) -> int:
        """The comma between the two arguments."""
        found = arguments(self.tokens, at + 1)
        if len(found) != 2 or any(first == last for first, last in found):
            raise CelError("default() takes a field and a fallback", *place(self.source, self.tokens[at].start), _USAGE)
        return found[0][1]

    def guards(self, first: int, last: int) -> list[list[_Piece]]:
        """A test for each step of a field that may lead nowhere: ``.name``, ``["name"]`` and ``[0]``."""
        guards: list[list[_Piece]] = []
        at = start = self.root(first, last)
        declared = "".join([token.text for token in self.tokens[first:start]]) in self.variables
        while at < last:
            after, test = self.step(at, last, sure=declared and at == start)
            if test:
                guards.append(self.filled(test, first, at))
            if len(guards) > STEPS_CAP:
                where = place(self.source, self.tokens[at].start)
                raise CelError(f"default() looks at most {STEPS_CAP} steps deep", *where, "use variables")
            at = after
        return guards

    def step(self, at: int, last: int, *, sure: bool) -> tuple[int, _Test]:
        """The token behind one step, and the test for it; empty for a method."""
        if self.text(at) == "." and at + 1 < last and self.tokens[at + 1].kind == "ident":
            if at + 2 < last and self.text(at + 2) == "(":
                return self.close(at + 2) + 1, ()
            name = self.text(at + 1)
            test: _Test = ("has(", None, f".{name})")
            return at + 2, test if sure else _test("map", test, f".{name}")
        where = place(self.source, self.tokens[at].start)
        if self.text(at) != "[":
            raise CelError("default() takes one field", *where, _USAGE)
        close, key = self.close(at), self.tokens[at + 1]
        if close == at + 2 and key.kind == "string":
            test = (f"({key.text} in ", None, ")")
            return close + 1, test if sure else _test("map", test, f"[{key.text}]")
        if close == at + 2 and key.text.isdigit():
            return close + 1, _test("list", ("size(", None, f") > {key.text}"), f"[{key.text}]")
        raise CelError("default() cannot tell whether this is there", *where, 'write ["name"], [0] or .name')

    def filled(self, test: _Test, first: int, last: int) -> list[_Piece]:
        """The test with the tokens from ``first`` up to ``last`` in it."""
        origin = self.tokens[first].start
        before = self.span(first, last)
        pieces: list[_Piece] = []
        for text in test:
            pieces += before if text is None else [_Piece(text, origin)]
        return pieces

    def root(self, first: int, last: int) -> int:
        """Where the steps begin: behind a variable, a call or brackets, which are there in any case."""
        if self.text(first) == "(":
            return self.close(first) + 1
        if self.tokens[first].kind != "ident":
            raise CelError("default() takes a field", *place(self.source, self.tokens[first].start), _USAGE)
        end, at = first + 1, first + 1
        path = self.text(first)
        while at + 1 < last and self.text(at) == "." and self.tokens[at + 1].kind == "ident":
            path += f".{self.text(at + 1)}"
            at += 2
            if path in self.variables:
                end = at
        return self.close(end) + 1 if end < last and self.text(end) == "(" else end


def _test(kind: str, test: _Test, step: str) -> _Test:
    """A test that is false of null and fails of anything else that is no map (or list), as the step itself does: were
    it false, an agent could have the fallback by sending something of another shape."""
    return ("(type(dyn(", None, f")) == {kind} ? ", *test, " : dyn(", None, ") != null && dyn(", None, f"){step} == 0)")
