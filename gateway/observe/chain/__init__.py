"""The audit: what was decided and what operators changed, in a chain of hashes that shows every later change."""
