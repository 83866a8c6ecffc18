"""AgentDojo's tasks and attacks played through a real gateway, by an agent that obeys every injection.

AgentDojo (Debenedetti et al., NeurIPS 2024; PyPI ``agentdojo``) has for each user task, and for each attacker's task,
the calls that do it. No model is needed: the user's calls are played, and after the call whose result carried the
injection the attacker's, which is what a model would do that obeys whatever it reads. Scored by ``utility()`` and
``security()`` of its own. Runs in an environment that has agentdojo and not the gateway: ``make agentdojo``.
"""
