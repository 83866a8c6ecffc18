"""Health, readiness, metrics: the operator's side, on a port of its own."""
