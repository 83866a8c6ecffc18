"""Incidents: an agent that was led astray, through the real process; and the story that is left of it."""
