"""Every name that traces for OpenTelemetry use, in one place, since those of others still change.

Sources: OpenTelemetry semantic conventions 1.41 (``http.*``, ``url.*``, ``server.*``, ``error.*``: stable), and
semantic-conventions-genai v0.1 (``gen_ai.*``, ``mcp.*``: status Development). What a gateway decides has no convention
yet: that is ``toolgate.*``.
"""

from __future__ import annotations

SCOPE = "toolgate"
"""Name of the instrumentation scope."""

SERVICE_NAME, SERVICE_VERSION, SERVICE_INSTANCE = "service.name", "service.version", "service.instance.id"

ERROR_TYPE = "error.type"
TOOL_ERROR = "tool_error"
"""Value of ``error.type`` where a result says of itself that it failed (MCP ``isError``)."""

HTTP_METHOD, HTTP_STATUS = "http.request.method", "http.response.status_code"
HTTP_REQUEST_SIZE, HTTP_RESPONSE_SIZE = "http.request.body.size", "http.response.body.size"
URL_PATH, URL_TEMPLATE = "url.path", "url.template"
SERVER_ADDRESS, SERVER_PORT = "server.address", "server.port"

OPERATION, PROVIDER = "gen_ai.operation.name", "gen_ai.provider.name"
EXECUTE_TOOL, CHAT, GENERATE, EMBEDDINGS, COMPLETION = (
    "execute_tool",
    "chat",
    "generate_content",
    "embeddings",
    "text_completion",
)
"""Values of ``gen_ai.operation.name``."""
PROVIDERS = {"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini"}
"""``gen_ai.provider.name`` by the protocol of the tool."""
AGENT, CONVERSATION = "gen_ai.agent.id", "gen_ai.conversation.id"
TOOL_NAME, TOOL_CALL, PROMPT_NAME = "gen_ai.tool.name", "gen_ai.tool.call.id", "gen_ai.prompt.name"
REQUEST_MODEL, REQUEST_STREAM, REQUEST_MAX_TOKENS = (
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.request.max_tokens",
)
RESPONSE_MODEL, FIRST_CHUNK = "gen_ai.response.model", "gen_ai.response.time_to_first_chunk"
USAGE = {
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_creation.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
}
"""By the key of ``usage`` in the record."""

MCP_METHOD, MCP_SESSION = "mcp.method.name", "mcp.session.id"
MCP_VERSION, MCP_URI = "mcp.protocol.version", "mcp.resource.uri"

OWN = "toolgate."
"""Our own namespace."""
CALL, DECISION, REASON, RULE, DETAIL, GRANT = (
    "toolgate.call",
    "toolgate.decision",
    "toolgate.reason",
    "toolgate.rule",
    "toolgate.detail",
    "toolgate.grant",
)
TOOL, TOOL_OPERATION, FAULT, FAULT_DETAIL = "toolgate.tool", "toolgate.operation", "toolgate.fault", "toolgate.error"
POLICY_VERSION, COST, LABELS, AMENDMENTS = (
    "toolgate.policy_version",
    "toolgate.cost_usd",
    "toolgate.labels",
    "toolgate.amendments",
)
RUN, DEPTH, LINEAGE = "toolgate.run", "toolgate.depth", "toolgate.lineage"
ROOT_AGENT, ROOT_RUN, LED_AGENT, LED_RUN = (
    "toolgate.root.agent",
    "toolgate.root.run",
    "toolgate.led_by.agent",
    "toolgate.led_by.run",
)
WHY = "toolgate.why."
"""Before the keys of ``why`` in the record."""
ASKED_MS = "toolgate.asked_ms"
QUEUE_MS, DECIDE_MS, FIRST_BYTE_MS = "toolgate.queue_ms", "toolgate.decide_ms", "toolgate.first_byte_ms"
WITHHELD_RULE = "toolgate.withheld.rule"
PROPOSED, PROPOSED_REFUSED = "toolgate.proposed", "toolgate.proposed.refused"
DRIFT = "toolgate.drift"
MEMORY_KEYS, MEMORY_FOUND, MEMORY_VERSIONS = "toolgate.memory.keys", "toolgate.memory.found", "toolgate.memory.versions"
PROPOSED_BY, STEP = "toolgate.proposed_by", "toolgate.step"

EVENT_DECISION, EVENT_RULE, EVENT_GUARD = "toolgate.decision", "toolgate.rule", "toolgate.guard"
EVENT_ASKED, EVENT_RULED = "toolgate.approval.asked", "toolgate.approval.ruled"
"""Names of events of a span."""
EVENT_RULE_KEYS = {
    "policy": "toolgate.rule.policy",
    "rule": "toolgate.rule.name",
    "verdict": "toolgate.rule.verdict",
    "mode": "toolgate.rule.mode",
    "message": "toolgate.rule.message",
    "error": "toolgate.rule.error",
    "label": "toolgate.rule.label",
    "values": "toolgate.rule.values",
}
EVENT_GUARD_KEYS = {
    "guard": "toolgate.guard.name",
    "granted": "toolgate.guard.granted",
    "left": "toolgate.guard.left",
    "state": "toolgate.guard.state",
    "retry_after": "toolgate.guard.retry_after",
    "detail": "toolgate.guard.detail",
    "budget": "toolgate.guard.budget",
}
EVENT_RULED_KEYS = {
    "id": "toolgate.approval.id",
    "verb": "toolgate.approval.verb",
    "by": "toolgate.approval.by",
    "waited_ms": "toolgate.approval.waited_ms",
    "edited": "toolgate.approval.edited",
    "why": "toolgate.approval.why",
}
"""By the keys of ``rules``, ``guards`` and ``approval`` in the record."""
