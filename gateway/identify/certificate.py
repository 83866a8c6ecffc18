"""Agents known by the certificate of their connection (mutual TLS): by its SPIFFE id, or by a DNS name.

Only names of a certificate that TLS has verified get here (``Request.certificate``); what a header says of one
(X-Forwarded-Client-Cert) is never looked at.
"""

from __future__ import annotations

from gateway.identify.names import presentable
from gateway.model import Agent, Request
from gateway.model.certificate_names import DNS, SPIFFE, pattern_of, spiffe_id

MOST_KEPT = 1_000


class CertificateIdentity:
    """Knows agents by the name in their certificates that fits ``pattern``: a SPIFFE id, or else a DNS name.

    ``template`` makes the agent's name of the pattern's segments, and of ``{id}``, the whole name.
    """

    shows = b""

    def __init__(self, pattern: str, template: str, roles: tuple[str, ...] = ()) -> None:
        self.expects = f"a client certificate for {pattern}"
        self._pattern, self._uris = pattern_of(pattern), pattern.startswith(SPIFFE)
        self._template, self._roles = template, roles
        self._seen: dict[tuple[str, ...], Agent | None] = {}

    def identify(self, request: Request) -> Agent | None:
        names = request.certificate
        if not names:
            return None
        if names not in self._seen:
            if len(self._seen) >= MOST_KEPT:
                self._seen.clear()
            self._seen[names] = self._agent(names)
        return self._seen[names]

    def carried(self, request: Request) -> bool:  # noqa: ARG002 - nothing of it is in the request
        return False

    def _agent(self, names: tuple[str, ...]) -> Agent | None:
        candidates = [spiffe_id(names)] if self._uris else [name.lower() for name in names if DNS.fullmatch(name)]
        matches = [found for name in candidates if name and (found := self._pattern.fullmatch(name)) is not None]
        if len(matches) != 1:  # a certificate with two names that fit is two agents, and so none
            return None
        facts = {**matches[0].groupdict(), "id": matches[0][0]}
        name = self._template.format_map(facts)
        return Agent(name, self._roles, "certificate", claims=facts) if presentable(name) else None
