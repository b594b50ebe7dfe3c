"""What doctor says of enrolment at desk phones, where the operator has included it; it dials nothing."""

from binding_ivr.asterisk.ami.client import AmiClient
from binding_ivr.config import Config
from binding_ivr.doctor.checks import Check, fail, ok

CHECK = "enrolment"
CONTEXT = "binding-ivr-enrol"
DIALOGUE = "binding-ivr-enrol-desk"


async def examine(config: Config, ami: AmiClient) -> list[Check]:
    """Check it; nothing to say when it is not in the dialplan, or cannot be looked up."""
    there = [name for name in (CONTEXT, DIALOGUE) if (await ami.action("ShowDialPlan", {"Context": name})).success]
    if not there:
        return []
    if DIALOGUE not in there:
        return [fail(CHECK, f"the context {DIALOGUE} is missing: #include all of this version's enrol.conf")]
    if config.agi.desks == 0:
        return [
            fail(
                CHECK,
                "enrol.conf is in the dialplan, but [agi] desks is 0: users hear that there is a technical problem",
            )
        ]
    return [ok(CHECK, f"the context {CONTEXT} is there; up to {config.agi.desks} desk phones at once")]
