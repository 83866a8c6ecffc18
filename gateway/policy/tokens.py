"""CEL's words, read without an engine: which variables an expression names, how deep it nests, what to write out.

Working on tokens instead of text keeps strings and comments from being mistaken for code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gateway.policy.engine import EXPANDED_CAP, LOOP_CAP, NESTING_CAP, CelError

FOLLOWED = "flow.followed"
"""The variable that ``origin()`` reads unseen."""
LOOPS = frozenset({"all", "exists", "exists_one", "map", "filter"})
RESERVED = frozenset(
    {
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "null",
        "package",
        "namespace",
        "return",
        "true",
        "var",
        "void",
        "while",
    }
)
_TOKEN = re.compile(
    r"""
      (?P<space>    [ \t\r\n\f]+ | //[^\n]* )
    | (?P<string>
          [bB]?[rR][bB]? (?: \"{3}[\s\S]*?\"{3} | '{3}[\s\S]*?'{3} | "[^"\r\n]*" | '[^'\r\n]*' )
        | [bB]? (?: \"{3}(?:\\[\s\S]|[^\\])*?\"{3} | '{3}(?:\\[\s\S]|[^\\])*?'{3}
                  | "(?:\\.|[^"\\\r\n])*" | '(?:\\.|[^'\\\r\n])*' ) )
    | (?P<number>   0[xX][0-9a-fA-F]+[uU]? | (?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]? )
    | (?P<ident>    [A-Za-z_][A-Za-z0-9_]* | `[^`\r\n]+` )
    | (?P<mark>     [\s\S] )
    """,
    re.VERBOSE,
)


_GETTER = re.compile(r"get(?:FullYear|Month|Date|DayOf(?:Month|Week|Year)|Hours|Minutes|Seconds|Milliseconds)")


class Token(Struct, frozen=True):
    """``kind`` is string, number, ident or mark (one character); ``start`` counts characters from 0."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Chain(Struct, frozen=True):
    """``names`` joined by dots: ``agent.id``, ``args.x.startsWith(``. ``called``: the last one is a function."""

    names: tuple[str, ...]
    tokens: tuple[Token, ...]
    called: bool

    @property
    def variable(self) -> tuple[str, ...]:
        """The names without the function at the end."""
        return self.names[:-1] if self.called else self.names


def tokenize(source: str) -> list[Token]:
    """The tokens of an expression, without whitespace and comments. Never fails: bad characters become marks."""
    return [
        Token(found.lastgroup or "mark", found[0], found.start())
        for found in _TOKEN.finditer(source)
        if found.lastgroup != "space"
    ]


def place(source: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character."""
    before = source[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def chains(tokens: Sequence[Token]) -> list[Chain]:
    """Every maximal run of dotted names that is not a selection from something else."""
    found: list[Chain] = []
    at = 0
    while at < len(tokens):
        if tokens[at].kind != "ident" or _selects(tokens, at):
            at += 1
            continue
        parts = [tokens[at]]
        at += 1
        while at + 1 < len(tokens) and tokens[at].text == "." and tokens[at + 1].kind == "ident":
            parts.append(tokens[at + 1])
            at += 2
        called = at < len(tokens) and tokens[at].text == "("
        found.append(Chain(tuple(part.text.strip("`") for part in parts), tuple(parts), called))
    return found


def _selects(tokens: Sequence[Token], at: int) -> bool:
    """Whether the name at ``at`` is selected from an operand: y in ``f(x).y``, but not in ``.y`` (from the root)."""
    if at < 2 or tokens[at - 1].text != ".":
        return False
    before = tokens[at - 2]
    return before.kind != "mark" or before.text in ")]}"


def references(tokens: Sequence[Token], declared: Iterable[str]) -> frozenset[str]:
    """The declared dotted names that the tokens use, or functions in them. May name too many, never too few."""
    known = frozenset(declared)
    used = {
        name
        for chain in chains(tokens)
        for length in range(1, len(chain.variable) + 1)
        if (name := ".".join(chain.variable[:length])) in known
    }
    if FOLLOWED in known and any(token.text == "origin" and token.kind == "ident" for token in tokens):
        used.add(FOLLOWED)
    if not used.isdisjoint(("flow.unproven", "flow.foreign", "flow.delegated", "flow.planted", "guardrail")):
        used.add("args")  # whose arguments it tells of
    return frozenset(used)


def loop_variables(tokens: Sequence[Token]) -> list[Token]:
    """The names that macros bind: x in ``list.exists(x, ...)``."""
    return [
        tokens[at + 2]
        for at in range(1, len(tokens) - 3)
        if tokens[at].text in LOOPS
        and tokens[at - 1].text == "."
        and tokens[at + 1].text == "("
        and tokens[at + 2].kind == "ident"
        and tokens[at + 3].text == ","
    ]


def closing(tokens: Sequence[Token], at: int) -> int:
    """The bracket that closes the one at ``at``; the number of tokens where none does."""
    depth = 0
    for number in range(at, len(tokens)):
        if tokens[number].kind != "mark":
            continue
        if tokens[number].text in "([{":
            depth += 1
        elif tokens[number].text in ")]}":
            depth -= 1
            if depth == 0:
                return number
    return len(tokens)


def arguments(tokens: Sequence[Token], opened: int) -> list[tuple[int, int]]:
    """The arguments in the brackets at ``opened``, each as its first token and the one behind its last."""
    close = closing(tokens, opened)
    found, first, at = [], opened + 1, opened + 1
    while at < close:
        if tokens[at].kind == "mark" and tokens[at].text in "([{":
            at = closing(tokens, at)
        elif tokens[at].text == ",":
            found.append((first, at))
            first = at + 1
        at += 1
    return [*found, (first, close)] if close > opened + 1 else []


def literal(token: Token) -> str | None:
    """The text that a string literal means; None for other tokens, bytes, and literals with escapes."""
    if token.kind != "string" or "\\" in token.text or token.text[0] in "bBrR":
        return None
    return token.text[3:-3] if token.text[:3] in ('"""', "'''") else token.text[1:-1]


def zone_literals(tokens: Sequence[Token]) -> list[Token]:
    """The string literals that stand alone as the time zone of ``time.getHours("...")`` and its like."""
    return [
        tokens[at + 2]
        for at in range(1, len(tokens) - 3)
        if tokens[at - 1].text == "."
        and _GETTER.fullmatch(tokens[at].text)
        and tokens[at + 1].text == "("
        and tokens[at + 2].kind == "string"
        and tokens[at + 3].text == ")"
    ]


def time_literals(tokens: Sequence[Token]) -> list[tuple[str, Token]]:
    """The string literals that stand alone in ``timestamp("...")`` and ``duration("...")``, each with its function."""
    return [
        (tokens[at].text, tokens[at + 2])
        for at in range(len(tokens) - 3)
        if tokens[at].text in ("timestamp", "duration")
        and tokens[at + 1].text == "("
        and tokens[at + 2].kind == "string"
        and tokens[at + 3].text == ")"
    ]


def check_header_names(source: str, tokens: Sequence[Token]) -> None:
    """Raise CelError for a written-out header name with upper case: there is no such key, whatever an agent sends, so
    ``"X-Debug" in request.headers`` would be false for ever."""
    words = [token.text for token in tokens]
    for at in range(len(tokens) - 2):
        if words[at : at + 3] != ["request", ".", "headers"] or words[at - 1 : at] == ["."]:
            continue
        named = [tokens[at + 4]] if words[at + 3 : at + 4] in (["["], ["."]) and at + 4 < len(tokens) else []
        if at > 1 and words[at - 1] == "in":
            named.append(tokens[at - 2])
        for token in named:
            name = token.text if token.kind == "ident" else literal(token)
            if name and name != name.lower() and (token.kind == "string" or words[at + 3] == "."):
                message = f"no header is called {name}: their names are in lower case"
                raise CelError(message, *place(source, token.start), f'write "{name.lower()}"')


def pattern_literals(tokens: Sequence[Token]) -> list[Token]:
    """The string literals that stand alone as the pattern of ``text.matches("...")``."""
    return [
        tokens[at + 2]
        for at in range(len(tokens) - 3)
        if tokens[at].text == "matches"
        and tokens[at + 1].text == "("
        and tokens[at + 2].kind == "string"
        and tokens[at + 3].text == ")"
    ]


def check_caps(source: str, tokens: Sequence[Token], cap: int) -> None:
    """Raise CelError for an expression that is too long, too deep, or loops within loops within loops."""
    if len(source) > cap:
        raise CelError(
            f"the expression has {len(source)} characters, more than {cap}", hint="split it into several rules"
        )
    opened: list[bool] = []
    for at, token in enumerate(tokens):
        if token.kind != "mark":
            continue
        if token.text in "([{":
            loops = token.text == "(" and at > 1 and tokens[at - 1].text in LOOPS and tokens[at - 2].text == "."
            opened.append(loops)
            if len(opened) > NESTING_CAP:
                raise CelError(
                    f"brackets are nested more than {NESTING_CAP} deep", *place(source, token.start), "use variables"
                )
            if loops and sum(opened) > LOOP_CAP:
                raise CelError(
                    f"{tokens[at - 1].text} is the third loop within loops; at most {LOOP_CAP} may be nested",
                    *place(source, tokens[at - 1].start),
                    "the work grows with the list's length to that power; test fewer things at once",
                )
        elif token.text in ")]}" and opened:
            opened.pop()


def loops_within(tokens: Sequence[Token]) -> int:
    """How deep loops are nested within loops: 0 where there is none."""
    opened: list[bool] = []
    deepest = 0
    for at, token in enumerate(tokens):
        if token.kind == "mark" and token.text in "([{":
            opened.append(token.text == "(" and at > 1 and tokens[at - 1].text in LOOPS and tokens[at - 2].text == ".")
            deepest = max(deepest, sum(opened))
        elif token.kind == "mark" and token.text in ")]}" and opened:
            opened.pop()
    return deepest


def check_shadowing(source: str, tokens: Sequence[Token], declared: Iterable[str]) -> None:
    """Raise CelError where a loop variable hides a declared one: readers and variables.X would be misled."""
    heads = {name.partition(".")[0] for name in declared} | {"variables"}
    for token in loop_variables(tokens):
        if token.text in heads:
            raise CelError(
                f"the loop variable {token.text} hides the variable of that name",
                *place(source, token.start),
                f"call it something else, such as {token.text[0]}",
            )


def expand(source: str, variables: Mapping[str, str], cap: int = EXPANDED_CAP) -> str:
    """``source`` with each ``variables.NAME`` replaced by its expression in brackets.

    Raises:
        CelError: the result would have more than ``cap`` characters.
    """
    pieces: list[str] = []
    done = length = 0
    for chain in chains(tokenize(source)):
        if len(chain.variable) < 2 or chain.names[0] != "variables" or chain.names[1] not in variables:
            continue
        first, second = chain.tokens[:2]
        # The line break ends a comment that the expression may end with.
        text = f"({variables[chain.names[1]]}\n)"
        pieces += source[done : first.start], text
        length += first.start - done + len(text)
        done = second.end
        if length > cap:
            break
    expanded = "".join([*pieces, source[done:]])
    if length > cap or len(expanded) > cap:
        raise CelError(
            f"with its variables written out the expression has more than {cap} characters",
            hint="use fewer variables that use variables",
        )
    return expanded
