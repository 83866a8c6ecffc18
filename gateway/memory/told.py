"""What answers of the memory tell beside values: labels, versions, what stands in the way of a write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from gateway.memory.wrong import Wrong
from gateway.model.shelf import Item, version_of
from gateway.stores.shelf_told import moment, told

LABELS = "X-Toolgate-Labels"
"""The field that the gateway takes from an answer: it marks the run of whoever reads that."""
LARGEST_SHOWN = 16 * 1024
"""Bytes of a value that stands in the way of a write and is shown with that."""


def standing(wrong: Wrong) -> list[dict[str, Any]]:
    """What stands in the way of a write, with values that are not too long."""
    found = []
    for item in wrong.standing:
        shown = item.value is not None and len(item.value) <= LARGEST_SHOWN
        if item.revision:
            found.append(told(wrong.epoch, item, value=shown))
        else:
            found.append({"key": item.key, "version": None, "deleted": True})
    return found


def labels_of(items: Iterable[Item]) -> tuple[str, ...]:
    """Of all of them."""
    return tuple(sorted({label for item in items for label in item.by.labels}))


def labelled(items: Iterable[Item]) -> Mapping[str, str]:
    """The field that tells the gateway these labels."""
    found = labels_of(items)
    return {LABELS: ", ".join(found)} if found else {}


def described(epoch: str, item: Item) -> dict[str, str]:
    """The fields of an answer that is an item's value."""
    fields = {
        "ETag": f'"{version_of(epoch, item.revision)}"',
        "Memory-Written-By": quote(item.by.agent, safe=" /:@"),
        "Memory-Written-In-Run": quote(item.by.run, safe=" /:@"),
        "Memory-Labels": ", ".join(item.by.labels),
        "Memory-Ends": moment(item.ends) if item.ends else "",
    }
    return {name: value for name, value in fields.items() if value} | dict(labelled([item]))
