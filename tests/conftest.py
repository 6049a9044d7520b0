"""Settings for every test."""

from hypothesis import HealthCheck, settings

# A property may be slow on a busy machine; pytest-timeout is what ends a test that hangs.
settings.register_profile("fedelta", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fedelta")
