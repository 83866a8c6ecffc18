"""Counters, places and circuits behind the guards that count."""
