"""What doctor says of the second lock: whether calls leave through it, and whether Asterisk has the one of now."""

from binding_ivr.app.lock import fingerprint_of, lock_of, locked_context
from binding_ivr.asterisk.ami.client import AmiClient
from binding_ivr.config import Config
from binding_ivr.doctor.checks import Check, fail, ok, warn
from binding_ivr.errors import BindingError
from binding_ivr.store import Store

CHECK = "lock"
COMMAND = "binding-ivr dialplan policy --output /etc/asterisk/binding_ivr_out.conf"
RELOAD = "then: asterisk -rx 'dialplan reload'"


async def examine(config: Config, store: Store | None, ami: AmiClient | None) -> list[Check]:
    """Check it; without *ami* or *store* only whether it is in use."""
    open_ones = [route.name for route in config.routes if locked_context(route) is None]
    if open_ones:
        return [
            warn(
                CHECK,
                f"calls of route {open_ones[0]} leave without a second lock, so a fault here could dial any number; "
                f"make one, and do as it says: {COMMAND}",
            )
        ]
    if not config.routes or store is None:
        return []
    if ami is None:
        return [warn(CHECK, "cannot tell whether Asterisk has the current lock: only AMI shows it")]
    try:
        wanted = fingerprint_of(await lock_of(config, store))
    except BindingError as error:
        return [fail(CHECK, str(error))]
    return [await _compare(wanted, ami)]


async def _compare(wanted: str, ami: AmiClient) -> Check:
    shown = await ami.action("ShowDialPlan", {"Context": "binding-ivr-allowed", "Extension": "s"})
    if shown.message == "Permission denied":
        return warn(CHECK, "cannot be checked: in manager.conf, give the user of [ami] the class reporting")
    if not shown.success:
        return fail(
            CHECK,
            f'Asterisk has no context binding-ivr-allowed: {COMMAND}; then #include "binding_ivr_out.conf" at the end '
            f"of extensions.conf; {RELOAD}",
        )
    there = await ami.action("ShowDialPlan", {"Context": "binding-ivr-allowed", "Extension": f"fingerprint_{wanted}"})
    if not there.success:
        return warn(
            CHECK,
            "the lock in Asterisk is out of date: configuration, own numbers or exceptions have changed: "
            f"{COMMAND}; {RELOAD}",
        )
    return ok(CHECK, "calls leave through the dialplan's own allow-list, which is up to date")
