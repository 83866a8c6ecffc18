"""Tools that the gateway is itself: what of their settings has no effect, or cannot be."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.model_errors import Mistake
from gateway.config.schema import BUILTIN_URL, ToolConfig
from gateway.config.schema_memory import MemoryConfig

_WITHOUT_EFFECT = ("credential", "credential_required", "egress", "tls", "connect", "preserve_host", "pins")
_PROTOCOLS = ("http", "mcp")


def builtin_mistakes(name: str, tool: ToolConfig, memory: MemoryConfig) -> Iterator[Mistake]:
    """What is wrong with one tool's ``builtin``."""
    if tool.builtin is None:
        return
    path = ("tools", name)
    if tool.url != BUILTIN_URL:
        yield Mistake((*path, "url"), "url and builtin are both given", "keep one of them")
    if tool.protocol not in _PROTOCOLS:
        message = f"builtin: {tool.builtin} does not speak {tool.protocol}"
        yield Mistake((*path, "protocol"), message, "write protocol: http or mcp")
    for key in _WITHOUT_EFFECT:
        if key in tool.model_fields_set:
            message = f"{key} has no effect with builtin: {tool.builtin}, which is a part of the gateway itself"
            yield Mistake((*path, key), message, "remove it")
    if not memory.namespaces:
        hint = "write memory: {namespaces: {notes: {}}} beside tools"
        yield Mistake((*path, "builtin"), "the memory has no namespaces, so nothing could be kept in it", hint)
