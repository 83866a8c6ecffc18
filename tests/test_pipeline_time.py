"""When a call arrived: told to its rules, by the clock on the wall, and the same as in its record."""

from __future__ import annotations

import pytest

from tests.drive import DONE, Drive
from tests.reading import HEAD


@pytest.mark.parametrize("reads_time", [True, False])
def test_a_call_has_the_time_of_its_record_only_where_a_rule_reads_it(reads_time):
    drive = Drive(reads_time=reads_time)
    sent = drive.go()
    drive.answer(HEAD)
    drive.answer(DONE)
    at = sent.permit.call.at
    if not reads_time:
        assert at == 0.0
        return
    # The world's clocks: the wall stands still, the other one moves a little each time that it is read.
    assert 1_700_000_000.0 - at < 0.01
    assert abs(at - drive.world.traces[-1].wall) < 0.02
