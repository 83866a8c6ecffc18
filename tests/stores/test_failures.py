"""How calls fail: by whose fault, as far as an answer tells."""

from __future__ import annotations

import pytest

from gateway.model import Findings, Outcome
from gateway.stores.failures import Ended, ended


def said(complaint: str, *, status: int = 200, by_result: bool = True) -> Ended:
    found = Findings(is_error=True, complaint=complaint)
    return ended(Outcome(status, status, found=found), by_result=by_result)


@pytest.mark.parametrize(
    "complaint",
    [
        "Error: request timed out",
        "MCP error -32001: Request timed out",
        "upstream request timed out after 30 s",
        "Service Unavailable",
        "The service is temporarily unavailable, please try again later.",
        "HTTP 503",
        "Request failed with status code 429",
        "HTTP error (502): Bad Gateway",
        "API rate limit exceeded for user ID 1",
        "You are being rate-limited",
        "429 Too Many Requests",
        "read ECONNRESET",
        "('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))",
        "context deadline exceeded",
        "overloaded_error: Overloaded",
        "please retry in 20 seconds",
    ],
)
def test_a_result_that_tells_of_a_trouble_that_passes_is_not_the_callers_fault(complaint):
    assert said(complaint) is Ended.PASSING
    assert said(complaint, status=503) is Ended.TROUBLE
    assert said(complaint, by_result=False) is Ended.TROUBLE


@pytest.mark.parametrize(
    "complaint",
    [
        "",
        "no such file: timeout.txt",
        "unknown argument 'timeout'",
        "Command timed out after 120 s",
        "No order 503 was found, check the number and try again",
        "connect ECONNREFUSED 127.0.0.1:3000",
        "invalid rate limit",
        "line 429: error: expected ';'",
        "error 5031: no such table",
        "missing required parameter",
    ],
)
def test_other_results_that_failed_are(complaint):
    assert said(complaint) is Ended.FAULT


def test_words_of_an_answer_that_did_not_fail_mean_nothing():
    found = Findings(complaint="request timed out")
    assert ended(Outcome(200, 200, found=found), by_result=True) is Ended.WELL
    assert ended(Outcome(404, 404, found=found), by_result=True) is Ended.FAULT
