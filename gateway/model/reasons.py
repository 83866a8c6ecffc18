"""What is answered, and why: the words that stay."""

from __future__ import annotations

from enum import StrEnum

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"})
"""HTTP methods that change nothing (RFC 9110, 9.2.1), so that sending one twice does no harm."""


class Reason(StrEnum):
    """Why a call was not simply let through. Stable: dashboards and agents match on it."""

    BAD_REQUEST = "bad_request"
    UNREADABLE_BODY = "unreadable_body"
    BODY_TOO_LARGE = "body_too_large"
    AMBIGUOUS_PATH = "ambiguous_path"
    UNAUTHENTICATED = "unauthenticated"
    IDENTITY_UNAVAILABLE = "identity_unavailable"
    UNKNOWN_TOOL = "unknown_tool"
    NOT_GRANTED = "not_granted"
    POLICY_DENIED = "policy_denied"
    POLICY_ERROR = "policy_error"
    OUTSIDE_TASK = "outside_task"
    GUARDRAIL_UNAVAILABLE = "guardrail_unavailable"
    CREDENTIAL_UNAVAILABLE = "credential_unavailable"
    EGRESS_DENIED = "egress_denied"
    REDACTION_FAILED = "redaction_failed"
    APPROVAL_REQUIRED = "approval_required"
    APPROVAL_PENDING = "approval_pending"
    APPROVAL_DENIED = "approval_denied"
    ANSWERED_BY_PERSON = "answered_by_person"
    RATE_LIMITED = "rate_limited"
    CIRCUIT_OPEN = "circuit_open"
    CONCURRENCY_LIMITED = "concurrency_limited"
    QUEUE_TIMEOUT = "queue_timeout"
    QUARANTINED = "quarantined"
    LOOP_DETECTED = "loop_detected"
    REPEATED_FAILURE = "repeated_failure"
    RETRY_BUDGET_EXHAUSTED = "retry_budget_exhausted"
    BUDGET_EXHAUSTED = "budget_exhausted"
    RUN_LIMITED = "run_limited"
    STATE_UNAVAILABLE = "state_unavailable"
    MEMORY_STALE = "memory_stale"
    MEMORY_UNREAD = "memory_unread"
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_PROTOCOL = "upstream_protocol"
    HEADER_MISMATCH = "header_mismatch"
    FOREIGN_ORIGIN = "foreign_origin"
    INVALID_ARGUMENTS = "invalid_arguments"
    TOOL_CHANGED = "tool_changed"
    CAPPED = "capped"
    UNPRICED = "unpriced"
    RESULT_DENIED = "result_denied"
    RESULT_PENDING = "result_pending"
    RESULT_APPROVED = "result_approved"
    RESULT_UNREADABLE = "result_unreadable"
    REQUEST_TIMEOUT = "request_timeout"
    TRACE_UNAVAILABLE = "trace_unavailable"
    DRAINING = "draining"
    INTERNAL_ERROR = "internal_error"


class Verdict(StrEnum):
    """What a rule asks for when it is true, weakest first. The strongest verdict of all rules that spoke wins.

    LABEL and those from STRIP to REDACT refuse nothing: the run is marked, values in what is passed on are changed.
    """

    WARN = "warn"
    LABEL = "label"
    STRIP = "strip"
    WRAP = "wrap"
    TRUNCATE = "truncate"
    REDACT = "redact"
    APPROVE = "approve"
    DENY = "deny"


class Mode(StrEnum):
    """Whether a policy is enforced, or only recorded (Audit), or recorded and told to the agent (Warn)."""

    ENFORCE = "Enforce"
    AUDIT = "Audit"
    WARN = "Warn"
