"""What the rules and limits that can match an operation read, and whether a record lacks or masks any of it.

Only what has consequences counts: a rule that is only recorded (Audit, Warn) cannot change the decision. A path that an
expression selects (``args.user.name``) is told from a masked one (``args.password``) by its names; whatever selects in
another way (``args[key]``) counts as reading all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from gateway.model import Call, Mode, Verdict
from gateway.policy.book import PolicyBook
from gateway.policy.guards import CompiledLimit
from gateway.policy.rules import CompiledRule
from gateway.policy.tokens import Token, chains, tokenize
from gateway.policy.variables import TYPES

MEMORY = tuple(name for name in TYPES if name.startswith("memory."))
"""Variables that tell what a call finds in a memory."""

SOMETIMES = frozenset(
    {
        *("args", "request.headers", "request.query", "request.host", "request.size"),
        *("request.path", "request.params", "tool.operation", "agent.id", "agent.claims", "mcp.uri", "mcp.name"),
        *("llm.model", "llm.max_tokens", "llm.system", "llm.messages", "llm.tools", "run.cost_usd", "run.labels"),
        *("run.drift", "run.unverified", *MEMORY),
        *("run.steps", "run.errors_in_row", "run.depth", "run.root"),
        *("tool.readOnly", "tool.destructive", "tool.idempotent", "tool.openWorld"),
    }
)
"""Variables that a record may lack; all others it always has."""

HEADERS = "request.headers"
IS_THERE = "?"
"""Ends a path of which only is asked whether it is there, which a mask does not hide."""
OPERATION, PATH = 1, 2
_BY_OPERATION = frozenset({"agent.id", "agent.roles", "tool.name", "tool.operation", "tool.protocol", "request.method"})
_BY_PATH = _BY_OPERATION | {"request.path", "request.params"}


class Need(Struct, frozen=True, eq=False):
    """``names`` are the variables among SOMETIMES that anything with consequences reads; ``by_rule`` those of each rule
    by its number, with the paths that are selected below them, and ``by_limit`` those of the limits together.
    ``headers`` are the paths of headers among them. ``answers``: rules of the answer's phases match too. ``labels``:
    one of those marks the run. ``alike``: whether what the rules say follows from agent, tool and operation alone
    (OPERATION), or with the path (PATH), or not (0)."""

    names: frozenset[str]
    by_rule: tuple[frozenset[str], ...]
    by_limit: frozenset[str]
    headers: tuple[str, ...]
    rules: tuple[CompiledRule, ...]
    answers: bool
    labels: bool
    alike: int


Lack = tuple[frozenset[int], frozenset[str], bool]
"""The numbers of the rules that read something missing; what they and the limits lack; whether limits do."""


class Needs:
    """The needs of one version of the policies, by operation."""

    def __init__(self, book: PolicyBook) -> None:
        self._book = book
        self._known: dict[tuple[str, str, bool], Need] = {}
        self._lacks: dict[tuple[Need, tuple[str, ...]], Lack] = {}

    def of(self, call: Call) -> Need:
        """What deciding on the call takes; of a batch see each part."""
        key = (call.tool.name, call.operation, call.implied)
        need = self._known.get(key)
        if need is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            need = self._known[key] = self._of(*key)
        return need

    def lacking(self, need: Need, missing: tuple[str, ...]) -> Lack:
        """What of the need is not met where these variables, or paths below them, are missing."""
        lack = self._lacks.get((need, missing))
        if lack is None:
            if len(self._lacks) >= _MOST:
                self._lacks.clear()
            lack = self._lacks[need, missing] = _lacking(need, missing)
        return lack

    def _of(self, tool: str, operation: str, implied: bool) -> Need:
        rules = self._book.rules(tool, operation, implied=implied).rules
        limits = self._book.limits(tool, operation, implied=implied)
        results = self._book.results(tool, operation, implied=implied).rules
        answers = bool(results or self._book.proposals(tool, operation).rules)
        labels = any(rule.verdict.value == "label" for rule in results)
        return _need(rules, limits, answers, labels)


_MOST = 65_536


def _need(rules: tuple[CompiledRule, ...], limits: Sequence[CompiledLimit], answers: bool, labels: bool) -> Need:
    by_rule = tuple([_paths(rule.program.source) if _matters(rule) else frozenset[str]() for rule in rules])
    by_limit = frozenset[str]().union(*(limit.references & SOMETIMES for limit in limits))
    names = by_limit.union(*(rule.references & SOMETIMES for rule in rules if _matters(rule)))
    headers = [path for path in by_limit.union(*by_rule) if path.startswith(HEADERS)]
    return Need(names, by_rule, by_limit, tuple(headers), rules, answers, labels, _alike(rules))


def _alike(rules: Sequence[CompiledRule]) -> int:
    matter = [rule for rule in rules if _matters(rule)]
    read = frozenset[str]().union(*(rule.references for rule in matter))
    if any(rule.rollout is not None for rule in matter):
        return 0
    return OPERATION if read <= _BY_OPERATION else PATH if read <= _BY_PATH else 0


def _matters(rule: CompiledRule) -> bool:
    """Whether the rule can change a decision: an enforced warning can, where it fails and what fails is refused."""
    return rule.mode is Mode.ENFORCE and not (rule.verdict is Verdict.WARN and rule.ignore)


@lru_cache(maxsize=4096)
def _paths(source: str) -> frozenset[str]:
    """The dotted paths that a condition selects, as far as their names are written out."""
    tokens = tokenize(source)
    found = set()
    for chain in chains(tokens):
        path = ".".join(chain.variable)
        if any(path == name or path.startswith(name + ".") for name in SOMETIMES):
            first, last = tokens.index(chain.tokens[0]), tokens.index(chain.tokens[-1])
            there = path.startswith("args.") and [token.text for token in tokens[max(0, first - 2) : first]] == [
                "has",
                "(",
            ]
            found.add(path + IS_THERE if there else _header(path, tokens, last))
    return frozenset(found)


def _header(path: str, tokens: Sequence[Token], at: int) -> str:
    """``request.headers.NAME`` where a header is named in brackets or before ``in``; else the path as it is."""
    if path != HEADERS:
        return path
    around: Mapping[int, str] = {step: tokens[at + step].text for step in (1, 2, 3) if at + step < len(tokens)}
    if around.get(1) == "[" and around.get(3) == "]" and (name := _plain(tokens[at + 2])):
        return f"{HEADERS}.{name}"
    first = at - 4  # "name" in request . headers
    begins = first == 0 or (first > 0 and tokens[first - 1].text in "(&|?:")
    if begins and tokens[first + 1].text == "in" and (name := _plain(tokens[first])):
        return f"{HEADERS}.{name}"
    return path


def _plain(token: Token) -> str:
    """The text of a string literal without escapes, or nothing."""
    text = token.text
    quoted = token.kind == "string" and len(text) > 2 and text[0] in "\"'" and text[0] == text[-1]
    return text[1:-1] if quoted and "\\" not in text and text[1] != text[0] else ""


def _lacking(need: Need, missing: Iterable[str]) -> Lack:
    by_limits = _touched(need.by_limit, missing)
    by_rule = {number: _touched(paths, missing) for number, paths in enumerate(need.by_rule)}
    touched = frozenset(number for number, found in by_rule.items() if found)
    return touched, frozenset(by_limits.union(*by_rule.values())), bool(by_limits)


def _touched(paths: Iterable[str], missing: Iterable[str]) -> set[str]:
    """The paths at, above or below which something is missing, or what is missing above them."""
    return {
        path if gone.startswith(path) else gone
        for gone in missing
        for path in paths
        if path.startswith(gone + ".")
        or ((path == gone or gone.startswith(path + ".")) and not path.endswith(IS_THERE))
    }
