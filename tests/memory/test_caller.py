"""Who writes is told by the gateway: with the labels of the run, but those that would vouch for what a model wrote."""

from __future__ import annotations

from msgspec import structs

from gateway.config.schema_memory import Namespace
from gateway.memory.caller import Caller, Introducer, caller_in
from gateway.memory.namespaces import Namespaces
from gateway.model import Agent, Run
from tests.builders import call


class Flow:
    labels = ("private", "trusted")


def test_labels_of_the_run_and_of_its_flow_are_told_and_nothing_vouches_for_a_model() -> None:
    told = {("ada", "r1"): ("public", "secret-project", "untrusted")}
    introducer = Introducer(lambda tree: told.get(tree, ()))
    made = structs.replace(call(), agent=Agent("ädä", ("lead",)), run=Run("r1", root=("ada", "r1")), flow=Flow())
    ((name, value),) = introducer.lend(made, None).fields
    assert value.isascii()
    caller = caller_in({name.decode(): value.decode()})
    assert (caller.agent, caller.roles, caller.run, caller.call) == ("ädä", ("lead",), "r1", made.id)
    assert caller.labels == ("private", "secret-project", "untrusted")


def test_rights_are_by_agents_and_roles_and_a_plain_name_wins() -> None:
    places = Namespaces(
        {
            "*": Namespace(),
            "team-*": Namespace(readers=("role:lead*", "report-?"), writers=("ada",)),
            "team-a": Namespace(readers=("bob",)),
        }
    )
    lead, report, bob = Caller("x", ("leader",)), Caller("report-1"), Caller("bob", ("role:lead",))
    of_all = places.of("team-b")
    assert of_all is not None
    assert of_all.pattern == "*", "the first glob that fits"
    places = Namespaces({"team-*": Namespace(readers=("role:lead*", "report-?"), writers=("ada",))})
    found = places.of("team-b")
    assert found is not None
    assert [found.is_read_by(one) for one in (lead, report, bob, Caller("role:lead"))] == [True, True, False, False]
    assert not found.is_written_by(lead)
    assert places.of("other") is None
    for name in ("team-", "team-b/c", "team-\n", "team-" + "x" * 60, ""):
        assert (places.of(name) is None) == (name != "team-")
