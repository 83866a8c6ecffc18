"""Settings for every test. The builders are in tests/builders.py."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The same examples each time, so that a red test is red for everyone. To look further afield:
# pytest --hypothesis-profile=explore
settings.register_profile(
    "steady", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("explore", deadline=None, database=None, max_examples=2000)
settings.load_profile("steady")
