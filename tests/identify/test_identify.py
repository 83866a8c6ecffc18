"""The order of sources, and the run a request belongs to."""

from __future__ import annotations

import pytest

from gateway.errors import Refused
from gateway.identify import identify, run_of
from gateway.identify.header import Anonymous
from gateway.model import Reason, Run
from tests.builders import request

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Nobody:
    expects = "nothing"
    shows = b""

    def identify(self, request):
        return None

    def carried(self, request):
        return False


def test_the_first_source_that_knows_the_agent_wins():
    assert identify(request(), (Nobody(), Anonymous("first"), Anonymous("second"))).id == "first"


@pytest.mark.parametrize("sources", [(), (Nobody(),), (Nobody(), Nobody())])
def test_nobody_is_401_with_a_challenge(sources):
    with pytest.raises(Refused) as refused:
        identify(request(), sources)
    assert (refused.value.status, refused.value.reason) == (401, Reason.UNAUTHENTICATED)
    assert b"WWW-Authenticate" in dict(refused.value.fields)


@pytest.mark.parametrize(
    ("fields", "run"),
    [
        ([], Run()),
        ([("X-Run-Id", "job-7")], Run("job-7")),
        ([("x-run-id", "job-7"), ("traceparent", TRACE)], Run("job-7", TRACE)),
        ([("traceparent", TRACE)], Run("4bf92f3577b34da6a3ce929d0e0e4736", TRACE)),
        ([("traceparent", "00-short-x-01")], Run("", "00-short-x-01")),
        ([("traceparent", "nonsense")], Run("", "nonsense")),
        ([("X-Run-Id", "r" * 500)], Run("r" * 128)),
    ],
)
def test_the_run_is_named_by_its_header_else_by_the_trace(fields, run):
    assert run_of(request(fields=fields), b"x-run-id") == run
