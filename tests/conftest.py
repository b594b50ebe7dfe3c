"""What holds for all tests: no test is timed, so none of hypothesis' examples has a deadline."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
