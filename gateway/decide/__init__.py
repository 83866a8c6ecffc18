"""May this call run, now? Quiet: no clock, no socket, no await."""
