"""Telling people: of approvals that wait for them, by webhooks, Slack, Teams and mail, with links and buttons that are
signed."""
