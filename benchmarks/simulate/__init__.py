"""Storms, greedy agents, outages, loops and money, played against the real decision code on a virtual clock.

``python -m benchmarks.simulate`` (or ``make simulate``) plays every scenario with and without its governors. Nothing is
sent anywhere and nothing waits: agents, tools and the gateway's own lines are coroutines of a loop whose time leaps to
whatever comes next. What decides is the gateway's pipeline, with the stores of the process, from YAML policies. The
same seed gives the same numbers.
"""
