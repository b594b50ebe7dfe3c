"""How slow this machine may be. Bounds on time in tests are multiplied by it: they are there to end, not to measure."""

import os

SLOWNESS = "BINDING_IVR_TEST_SLOWNESS"
SLOW = float(os.environ.get(SLOWNESS, "1"))
"""1 on a machine of one's own; `make test` makes it 3, for its lanes share the cores."""
