"""Where people decide on calls: approvals from their asking to their end, and what is made of verdicts."""
