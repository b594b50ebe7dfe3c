"""How long deliveries wait after failures."""

from binding_ivr.background import Backoff

DELIVERY = Backoff(10.0, 21_600.0, 3.0)
"""Between two tries of one delivery: 10 s, 30 s, … 6 h."""
RECEIVER = Backoff(1.0, 60.0, 2.0)
"""Between two tries of anything while a receiver is down."""
GIVE_UP_S = 259_200.0
"""For how long a delivery is tried: three days."""
