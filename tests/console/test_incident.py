"""The recorded incident of ``tests/incidents``: its cause is found from the run's page alone."""

from __future__ import annotations

import re
from html import unescape

from tests.incidents.agent import RUN, Treasurer
from tests.incidents.test_invoice import incident

from .support import serving

__all__ = ["incident"]


async def test_the_page_of_the_run_tells_what_happened_and_why(incident, tmp_path):
    gateway, agent = incident
    assert isinstance(agent, Treasurer)
    async with serving(tmp_path, store=gateway.folder / "traces.db") as place:
        async with place.session.get(f"/runs/treasurer/{RUN}") as response:
            page = await response.text()
    told = " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())
    for part in (
        "✕ quarantined",
        "loop/circles",
        "read-the-web",
        "◌ only noted",
        "new-payees/after-the-web : a payee that nobody knows, by a run that has read the web",
        "reading/bank-details says warn : a page names bank details",
        "new account EVIL99",
        "proposes pages : made as",
        "proposes transfers : made as",
        "step 2 pay the invoice",
        "args.account = EVIL99",
        "args.amount = 4800",
        "payments/large says deny : transfers over 500 are made by hand",
        "run-dollars",
        "goes from active to ↻ looping",
        "goes from looping to ✕ quarantined",
        "again, the same as the call before",
        "this run is quarantined",
    ):
        assert part in told, (part, told)
    where = [page.index(f'id="c-{call}"') for _, call, _ in agent.calls]
    assert where == sorted(where), "in the order in which it happened"
