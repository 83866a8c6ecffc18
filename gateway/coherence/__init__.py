"""Memories that tools keep and agents share: who has seen what, what has changed since, and what to do about it."""
