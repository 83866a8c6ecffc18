"""Guardrails: classifiers of others that are asked over HTTP about calls and results."""
