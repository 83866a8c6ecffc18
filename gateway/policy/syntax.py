"""CEL as a tree, with the place of every name: for what is said of expressions beyond whether they compile.

Engines check what they compile; they tell nothing of its parts. This reads the same text (cel-spec, doc/langdef.md) and
gives up quietly where it meets what policies hardly use (messages, optional values).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gateway.policy.tokens import Token, tokenize

MOST_DEPTH = 100
"""Levels of a tree, so that walking it never overflows the stack. Chains of ``&&``, ``||`` and ``+`` are one level."""

_RELATIONS = ("==", "!=", "<=", ">=", "<", ">", "in")
_LEVELS: tuple[tuple[str, ...], ...] = (("||",), ("&&",), _RELATIONS, ("+", "-"), ("*", "/", "%"))
"""Operators between two operands, loosest first."""
_WORDS = {"true": "bool", "false": "bool", "null": "null"}


class Expr(Struct, frozen=True):
    """One node.

    ``kind`` is literal (``name`` its type), name, select (``args`` is the operand), index (operand, key), call (a
    function), method (the receiver first), list, map (keys and values in turn), or op (``&&``, ``?:``, ``==``, ...).
    ``at`` is the offset of the name, the operator or the literal; ``start`` and ``end`` are those of the whole.
    """

    kind: str
    name: str
    at: int
    start: int
    end: int
    args: tuple[Expr, ...] = ()


class _UnreadError(Exception):
    pass


def parse(source: str) -> Expr | None:
    """The tree of an expression; None where it is not CEL, or CEL that is not read here."""
    reader = _Reader(source, tokenize(source))
    try:
        expr = reader.expression()
    except _UnreadError:
        return None
    return expr if reader.ended else None


class _Reader:
    def __init__(self, source: str, tokens: Sequence[Token]) -> None:
        self.source, self.tokens, self.at, self.depth = source, tokens, 0, 0

    @property
    def ended(self) -> bool:
        return self.at == len(self.tokens)

    def peek(self, ahead: int = 0) -> str:
        """The text of a token; empty behind the last, and for a string, which is no word of the language."""
        number = self.at + ahead
        return "" if number >= len(self.tokens) or self.tokens[number].kind == "string" else self.tokens[number].text

    def next(self) -> Token:
        if self.ended:
            raise _UnreadError
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, text: str) -> Token:
        if self.peek() != text:
            raise _UnreadError
        return self.next()

    def operator(self, known: Sequence[str]) -> str:
        """The operator that stands here, of those that are asked for; marks are single characters."""
        one = self.peek()
        if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].start == self.tokens[self.at].end:
            pair = one + self.peek(1)
            if pair in ("&&", "||", "==", "!=", "<=", ">="):
                return pair if pair in known else ""
        return one if one in known else ""

    def expression(self) -> Expr:
        self.depth += 1
        if self.depth > MOST_DEPTH // 2:
            raise _UnreadError
        condition = self.binary(0)
        if self.peek() == "?":
            mark = self.next()
            then = self.expression()
            self.take(":")
            other = self.expression()
            condition = Expr("op", "?:", mark.start, condition.start, other.end, (condition, then, other))
        self.depth -= 1
        return condition

    def binary(self, level: int) -> Expr:
        if level == len(_LEVELS):
            return self.unary()
        first = self.binary(level + 1)
        length = 0
        while operator := self.operator(_LEVELS[level]):
            length += 1
            mark = self.next()
            if len(operator) == 2 and operator != "in":
                self.next()
            other = self.binary(level + 1)
            if first.kind == "op" and first.name == operator and level in (0, 1, 3) and length > 1:
                first = Expr("op", operator, first.at, first.start, other.end, (*first.args, other))
            elif length > MOST_DEPTH // 4:
                raise _UnreadError
            else:
                first = Expr("op", operator, mark.start, first.start, other.end, (first, other))
        return first

    def unary(self) -> Expr:
        marks = []
        while self.peek() in ("!", "-"):
            marks.append(self.next())
        if len(marks) > MOST_DEPTH // 4:
            raise _UnreadError
        expr = self.member()
        for mark in reversed(marks):
            expr = Expr("op", f"{mark.text}x", mark.start, mark.start, expr.end, (expr,))
        return expr

    def member(self) -> Expr:
        expr = self.primary()
        for _ in range(MOST_DEPTH // 4):
            if self.peek() == ".":
                expr = self.selected(expr)
            elif self.peek() == "[":
                self.next()
                key = self.expression()
                close = self.take("]")
                expr = Expr("index", "[]", key.start, expr.start, close.end, (expr, key))
            else:
                return expr
        raise _UnreadError

    def selected(self, operand: Expr) -> Expr:
        self.take(".")
        name = self.next()
        if name.kind != "ident":
            raise _UnreadError
        if self.peek() != "(":
            return Expr("select", name.text.strip("`"), name.start, operand.start, name.end, (operand,))
        self.next()
        args, end = self.items(")")
        return Expr("method", name.text, name.start, operand.start, end, (operand, *args))

    def primary(self) -> Expr:
        token = self.next()
        if token.kind == "string":
            prefix = token.text[:2].lower().partition('"')[0].partition("'")[0]
            name = "bytes" if "b" in prefix else "string"
            return Expr("literal", name, token.start, token.start, token.end)
        if token.kind == "number":
            return Expr("literal", _number(token.text), token.start, token.start, token.end)
        if token.kind == "ident":
            return self.named(token)
        if token.text == "(":
            inner = self.expression()
            self.take(")")
            return inner
        if token.text == "[":
            args, end = self.items("]")
            return Expr("list", "", token.start, token.start, end, args)
        if token.text == "{":
            args, end = self.items("}")
            return Expr("map", "", token.start, token.start, end, args)
        raise _UnreadError

    def named(self, token: Token) -> Expr:
        if token.text in _WORDS:
            return Expr("literal", _WORDS[token.text], token.start, token.start, token.end)
        if self.peek() != "(":
            return Expr("name", token.text.strip("`"), token.start, token.start, token.end)
        self.next()
        args, end = self.items(")")
        return Expr("call", token.text, token.start, token.start, end, args)

    def items(self, close: str) -> tuple[tuple[Expr, ...], int]:
        """What stands between brackets, separated by commas (and colons, in a map), and where it ends."""
        found: list[Expr] = []
        while self.peek() != close:
            found.append(self.expression())
            if close == "}":
                self.take(":")
                found.append(self.expression())
            if self.peek() == ",":
                self.next()
            elif self.peek() != close:
                raise _UnreadError
        return tuple(found), self.take(close).end


def _number(text: str) -> str:
    if text[-1] in "uU":
        return "uint"
    return "int" if text[:2].lower() == "0x" or text.isdigit() else "double"


def text_of(source: str, literal: Expr) -> str | None:
    """What a string literal says; None for other nodes, and for strings with escapes."""
    if literal.kind != "literal" or literal.name != "string":
        return None
    text = source[literal.at : literal.end]
    raw = text[:1] in "rR"
    body = text[1:] if raw else text
    quotes = 3 if body[:3] in ('"""', "'''") else 1
    inner = body[quotes:-quotes]
    return inner if raw or "\\" not in inner else None
