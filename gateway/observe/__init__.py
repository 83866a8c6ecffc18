"""What happened, and why? Traces and metrics."""
