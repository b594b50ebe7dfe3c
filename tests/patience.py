"""How slow this machine may be. Waits that end a test which hangs are multiplied by it.

Not so the bounds that measure what the product promises: multiplied, they would let a broken promise pass.
"""

import os

SLOWNESS = "BINDING_IVR_TEST_SLOWNESS"
SLOW = float(os.environ.get(SLOWNESS, "1"))
"""1 on a machine of one's own; `make test` makes it 3, for its lanes share the cores."""
