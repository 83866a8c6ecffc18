"""Whom to ask about tokens: issuers' keys and discovery documents over HTTP, and the reviews of a Kubernetes API server.

What they say is checked in ``identify/tokens.py``, which does no I/O.
"""
