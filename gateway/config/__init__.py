"""Reads the configuration and the policies, names every mistake with its place, and watches for changes."""
