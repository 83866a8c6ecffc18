"""Whom to ask about tokens: issuers' keys and discovery documents over HTTP, and a Kubernetes API server's reviews.

What they say is checked in ``identify/tokens.py``, which does no I/O.
"""
