"""Changes of one rule in the text of a policy file, which leave all else as it stands."""

from __future__ import annotations

from gateway.config.documents import documents_in
from gateway.config.marks import Node

_ASKS = "approve"


class NotFoundError(ValueError):
    """The file does not have this rule, or it is not one that asks."""


def refusing(text: str, policy: str, rule: str) -> str:
    """The text in which the rule refuses instead of asking.

    Raises:
        NotFoundError: there is no such rule here that asks.
    """
    found = _rule(text, policy, rule).items["then"]
    return text[: found.start] + "deny" + text[_end(text, found) :]


def narrowed(text: str, policy: str, rule: str, unless: str) -> str:
    """The text in which the rule is not true of calls for which the CEL ``unless`` is.

    Raises:
        NotFoundError: there is no such rule here that asks.
    """
    spec = _rule(text, policy, rule)
    found = spec.items["when"]
    condition = str(found.value).strip()
    if "\n" in condition:  # a block, after which no comment stands in the same line; it may have comments of CEL inside
        pad = " " * (spec.keys["when"].column + 1)
        lines = ["(", *[f"  {line}" for line in condition.split("\n")], ")", f"&& !({unless})"]
        written = "|-\n" + "\n".join([f"{pad}{line}".rstrip() for line in lines])
    else:
        written = "'" + f"({condition}) && !({unless})".replace("'", "''") + "'"
    return text[: found.start] + written + text[_end(text, found) :]


def _rule(text: str, policy: str, rule: str) -> Node:
    documents, _ = documents_in("", text.encode())
    for document in documents:
        root = document.root
        if root.at(("kind",)).value != "Policy" or root.at(("metadata", "name")).value != policy:
            continue
        for node in root.at(("spec", "rules")).items.values():
            if node.at(("name",)).value == rule and node.at(("then",)).value == _ASKS:
                return node
    raise NotFoundError(f"no rule {policy}/{rule} that asks is in this file")


def _end(text: str, node: Node) -> int:
    """Where its text ends; a block's mark stands at the beginning of what follows it."""
    return node.start + len(text[node.start : node.end].rstrip())
