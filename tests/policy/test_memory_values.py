"""What expressions read of the memories that a call touches, in both engines."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.model import Change, Glance, How, Seen, Standing, Touch
from gateway.policy.engines import load_engine
from gateway.policy.variables import TYPES, bind, binder
from tests.builders import call as a_call

NOW = 1_700_000_000.0
OLD = Change("c1", How.FOUND, at=NOW - 90)
NEW = Change("c2", How.WRITTEN, "agent-b", "run-2", NOW - 12)
WRITE = Touch("notes", "plan", writes=True, max_age=60.0)
STALE = Glance(WRITE, Standing((OLD, NEW)), Seen("c1", NOW - 80))
CURRENT = Glance(Touch("notes", "list"), Standing((OLD,)), Seen("c1", NOW - 30))
UNREAD = Glance(Touch("notes", "plan"), Standing((NEW,)))


@pytest.mark.parametrize("engine", ["cel-expr-python", "cel-python"])
@pytest.mark.parametrize(
    ("glances", "expression"),
    [
        ((), 'memory.name == "" && memory.key == "" && !memory.writes && !memory.read && !memory.stale && !memory.old'),
        ((), 'memory.age == 0.0 && memory.changed_by == "" && run.drift == []'),
        ((STALE,), 'memory.name == "notes" && memory.key == "plan" && memory.writes && memory.read'),
        ((STALE,), 'memory.stale && memory.old && memory.age == 80.0 && memory.changed_by == "agent-b"'),
        ((CURRENT,), "memory.read && !memory.stale && !memory.old && !memory.writes && memory.age == 30.0"),
        ((UNREAD,), "!memory.read && !memory.stale && memory.age > 3600.0"),
        ((CURRENT, STALE), 'memory.key == "plan" && memory.stale && memory.age == 80.0'),
        ((CURRENT, UNREAD), "!memory.read"),
    ],
)
def test_expressions_read_what_the_call_found(engine, glances, expression):
    cel = load_engine(engine)
    call = structs.replace(a_call(), glances=glances, at=NOW)
    program = cel.compile(expression, TYPES)
    assert program.evaluate(cel.activation(bind(binder(program.references), call))) is True


def test_what_a_run_has_read_and_has_changed_is_a_list():
    call = structs.replace(a_call(), drift=("notes/plan",))
    assert bind(binder(["run.drift"]), call) == {"run.drift": ["notes/plan"]}
