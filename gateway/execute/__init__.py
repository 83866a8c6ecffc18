"""Carry out a permitted call: credentials and forwarded fields."""
