"""Credentials that are chosen, fetched or signed for each call."""
