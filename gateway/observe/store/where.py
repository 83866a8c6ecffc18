"""CEL over records: ``decision == "refuse" && tool == "github"``.

The variables are the keys of a record. A key that does not apply to a call is ``""``, 0, false or empty, so that
conditions need not ask for it first. What an expression reads and a record does not have (``args.amount``,
``usage.input``) makes no match.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.policy.engine import (
    BOOL,
    DYN,
    DYN_MAP,
    INT,
    STRING,
    STRINGS,
    TIMESTAMP,
    CelEngine,
    CelError,
    CelType,
    EvaluationError,
)
from gateway.policy.tokens import Token, place, tokenize

_LIST = CelType("list", (DYN,))
_TIMINGS = ("read_ms", "queue_ms", "asked_ms", "decide_ms", "upstream_first_byte_ms", "answer_ms", "total_ms")

VARIABLES: dict[str, CelType] = {
    "ts": TIMESTAMP,
    **dict.fromkeys(("call", "run", "traceparent", "agent", "tool", "operation", "method", "path"), STRING),
    **dict.fromkeys(("decision", "reason", "rule", "detail", "grant", "fault", "error", "query", "host"), STRING),
    **dict.fromkeys(("policy_version", "trace_id", "span_id", "parent_span_id", "lineage"), STRING),
    **dict.fromkeys(("step", "reached", "args_digest"), STRING),
    **dict.fromkeys(("status", "upstream_status", "bytes_in", "bytes_out", "size", "depth"), INT),
    **dict.fromkeys(("is_error", "implied"), BOOL),
    # dyn, since 1 is then a number as good as 1.0
    **dict.fromkeys(("cost_usd", "clock", *(f"timings.{name}" for name in _TIMINGS)), DYN),
    **dict.fromkeys(("roles", "amendments", "labels", "notes", "masked", "drift"), STRINGS),
    **dict.fromkeys(("rules", "guards", "proposed", "parts", "quarantines", "memory", "shifts"), _LIST),
    **dict.fromkeys(("facts", "why", "withheld", "usage", "flaw", "args", "headers", "root", "led_by"), DYN_MAP),
    **dict.fromkeys(("proposed_by", "result", "approval"), DYN_MAP),
}
"""The variables and their types."""

_EMPTY: dict[str, Any] = {"string": "", "int": 0, "bool": False, "dyn": 0.0, "list": [], "map": {}, "timestamp": ""}

_WHY = dict.fromkeys(("step", "parent", "reason", "goal", "kind"), "")
_DECISIONS = ("allow", "refuse", "")
_MEANT = {
    **dict.fromkeys(("cost", "usd", "price"), "cost_usd"),
    **dict.fromkeys(("duration", "duration_ms", "latency", "latency_ms", "took", "ms"), "timings.total_ms"),
    **dict.fromkeys(("time", "date"), "ts"),
    **dict.fromkeys(("tokens", "input_tokens", "output_tokens"), "usage.input or usage.output"),
    **dict.fromkeys(("message", "msg"), "detail or error"),
    "call_id": "call",
    "run_id": "run",
    "agent_id": "agent",
    "model": "usage.model",
    "label": "labels",
}
"""What people write who have not looked it up, and what is meant."""

_TEXTS = frozenset(("call", "run", "agent", "tool", "operation", "decision", "reason", "rule", "fault"))
_NUMBERS = {name: name for name in ("status", "upstream_status", "cost_usd")} | {"timings.total_ms": "total_ms"}
_SWAPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_SQL = {"==": "=", "!=": "IS NOT"}


class Where:
    """A compiled condition. ``conditions`` are those of its parts that SQL can ask, with their values: a record that
    fits the whole fits them too."""

    def __init__(self, source: str, engine: CelEngine) -> None:
        """Compile ``source``.

        Raises:
            CelError: it is no condition over these variables.
        """
        self.source = _with_decisions(source)
        self._engine = engine
        try:
            self._program = engine.compile(self.source, VARIABLES)
        except CelError as error:
            raise _with_names(error) from None
        if self._program.type not in (BOOL, DYN):
            hint = "compare it with something"
            raise CelError(f"gives {self._program.type}, not true or false", hint=hint)
        self.conditions: list[tuple[str, Any]] = _asked_of_sql(tokenize(self.source))
        self.failed = 0
        """Records that it could not be evaluated for."""
        self.reason = ""
        """Why, of the last of them."""

    def fits(self, record: Mapping[str, Any]) -> bool:
        """Whether the record fits."""
        bindings = {name: _value(record, name) for name in self._program.references}
        try:
            return self._program.evaluate(self._engine.activation(bindings)) is True
        except EvaluationError as error:
            self.failed += 1
            self.reason = error.message
            return False


def _value(record: Mapping[str, Any], name: str) -> Any:
    outer, _, inner = name.partition(".")
    value: Any = record.get(outer)
    if inner:
        value = (value or {}).get(inner)
    kind = VARIABLES[name]
    if name == "why":  # a member that was not said is "", as it is for rules
        return _WHY | {member: said for member, said in (value or {}).items() if said is not None}
    if value is None:
        return _EMPTY[kind.name]
    # whole numbers in JSON, floating ones elsewhere
    return float(value) if kind is DYN else value


def _with_names(error: CelError) -> CelError:
    """The error, with the key that is meant where a record calls it otherwise."""
    name = error.message.removeprefix("unknown variable ")
    meant = _MEANT.get(name, "") if name != error.message else ""
    return CelError(error.message, error.line, error.column, f"write {meant}") if meant else error


def _with_decisions(source: str) -> str:
    """The source, where ``decision == "deny"`` means what a record calls ``refuse``.

    Raises:
        CelError: it asks for a decision that no record has.
    """
    tokens = tokenize(source)
    for at, token in enumerate(tokens):
        if token.kind != "string" or not _is_decision(tokens, at) or token.text[1:-1] in _DECISIONS:
            continue
        if token.text not in ('"deny"', "'deny'"):
            hint = 'it is "allow" or "refuse", or "" where the agent left before; why it was refused is in reason'
            raise CelError(f"no call has the decision {token.text}", *place(source, token.start), hint)
        quote = token.text[0]
        return _with_decisions(source[: token.start] + f"{quote}refuse{quote}" + source[token.end :])
    return source


def _is_decision(tokens: Sequence[Token], at: int) -> bool:
    """Whether the token is compared with ``decision``."""
    before = [one.text for one in tokens[max(0, at - 4) : at]]
    after = [one.text for one in tokens[at + 1 : at + 5]]
    return (before[-3:] in (["decision", "=", "="], ["decision", "!", "="]) and before[:-3] != ["."]) or (
        after[:3] in (["=", "=", "decision"], ["!", "=", "decision"]) and after[3:] != ["."]
    )


def _asked_of_sql(tokens: Sequence[Token]) -> list[tuple[str, Any]]:
    """Comparisons of one column with one literal that stand side by side with ``&&``."""
    parts: list[list[Token]] = [[]]
    depth, at = 0, 0
    while at < len(tokens):
        text = tokens[at].text
        depth += (text in "([{") - (text in ")]}") if len(text) == 1 else 0
        both = tokens[at].text + tokens[at + 1].text if at + 1 < len(tokens) else ""
        if not depth and (text == "?" or both == "||"):
            return []
        if not depth and both == "&&":
            parts.append([])
            at += 2
            continue
        parts[-1].append(tokens[at])
        at += 1
    return [condition for part in parts if (condition := _condition(part)) is not None]


def _condition(part: Sequence[Token]) -> tuple[str, Any] | None:
    """``column op ?`` and its value, of a comparison that SQL makes as CEL does."""
    texts = [token.text for token in part]
    if len(part) < 3:
        return None
    if part[-1].kind in ("string", "number"):
        literal, rest = part[-1], part[:-1]
        split = next((at for at, token in enumerate(rest) if token.text in "=!<>"), len(rest))
        name, operator = "".join(texts[:split]), "".join(texts[split : len(rest)])
    elif part[0].kind in ("string", "number"):
        literal, rest = part[0], part[1:]
        split = next((at for at, token in enumerate(rest) if token.text not in "=!<>"), len(rest))
        name, operator = "".join(texts[1 + split :]), _SWAPPED.get("".join(texts[1 : 1 + split]), "")
    else:
        return None
    return _text_condition(name, operator, literal) or _number_condition(name, operator, literal)


def _text_condition(name: str, operator: str, literal: Token) -> tuple[str, Any] | None:
    text = literal.text
    plain = literal.kind == "string" and len(text) > 2 and text[0] in "\"'" and text[1] != text[0]
    if name not in _TEXTS or operator not in _SQL or not plain or "\\" in text:
        return None
    return f"{name} {_SQL[operator]} ?", text[1:-1]


def _number_condition(name: str, operator: str, literal: Token) -> tuple[str, Any] | None:
    if name not in _NUMBERS or operator not in _SWAPPED or literal.kind != "number":
        return None
    try:
        number = float(literal.text)
    except ValueError:  # hexadecimal, or unsigned
        return None
    return f"coalesce({_NUMBERS[name]}, 0) {_SQL.get(operator, operator)} ?", number
