"""Sees to it that the files this process may open suffice for all connections it lets in. It opens none."""

import resource

from binding_ivr.config import Config
from binding_ivr.errors import ConfigError
from binding_ivr.web.server import METRICS_CONNECTIONS

RESERVE = 500
"""Files beside those: PostgreSQL, ARI, AMI, webhooks, mail, and connections that are just being accepted."""
ROOM = 2
"""Up to so many times what is needed is asked of the system."""


def needed(config: Config) -> int:
    """How many open files this configuration can lead to."""
    return config.web.connections + config.agi.connections + METRICS_CONNECTIONS + config.database.pool_max + RESERVE


def make_room(config: Config) -> None:
    """Raise the soft limit on open files where the hard one lets us. Raises ConfigError when that is too low.

    Without this check a crowd of connections would use up the files, and the next look-up could not be accepted.
    """
    wanted = needed(config)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ConfigError(
            f"web.connections and agi.connections: with {config.web.connections} and {config.agi.connections} up to "
            f"{wanted} files are open, and this process may open {hard}; lower them (and web.streams), or raise "
            "LimitNOFILE of the unit, ulimits of the container, or ulimit -n"
        )
    if soft != resource.RLIM_INFINITY and soft < ROOM * wanted:
        most = ROOM * wanted if hard == resource.RLIM_INFINITY else min(hard, ROOM * wanted)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
