"""What doctor looks at of the notices: the mail server, the texts, and what AMI allows for them; it sends nothing."""

from binding_ivr.config import Config
from binding_ivr.delivery.notices import check_templates
from binding_ivr.delivery.notices_desk import LAMP_HINT, LAMP_MODULE, MESSAGE_HINT
from binding_ivr.delivery.wire.reply import Result
from binding_ivr.delivery.wire.smtp import SmtpClient
from binding_ivr.doctor.checks import Check, fail, ok, warn
from binding_ivr.errors import ConfigError

NEEDS_AMI = "[desk_notices] needs [ami] user and secret; without them another node must deliver"


async def examine(config: Config) -> list[Check]:
    """Check mail server and texts, as far as they are in use."""
    found: list[Check] = []
    desk = config.desk_notices
    if config.mail.host or desk.message:
        try:
            check_templates(config)
        except ConfigError as error:
            found.append(fail("notices", str(error)))
    if config.mail.host:
        found.append(await _mail(config))
    if (desk.message or desk.lamp) and not config.ami.user:
        found.append(warn("desk notices", NEEDS_AMI))
    return found


async def _mail(config: Config) -> Check:
    client, mail = SmtpClient(config.mail), config.mail
    try:
        reply = await client.check()
    finally:
        await client.close()
    place = f"{mail.host}:{mail.port}"
    if reply.result is not Result.DELIVERED:
        return fail("mail", f"{place}: {reply.detail}; check [mail], then: binding-ivr notice test USER")
    login = f"logged in as {mail.user}" if mail.user else "without a login"
    secured = "" if mail.tls != "none" else ", not encrypted"
    return ok("mail", f"{place} answers, {login}{secured}")


def of_ami(config: Config, allowed: frozenset[str]) -> list[Check]:
    """Check what the AMI user may do, by the (lower-case) names of the actions that are *allowed*."""
    desk = config.desk_notices
    found: list[Check] = []
    if desk.node not in ("", config.node):
        return found
    if desk.message and "messagesend" not in allowed:
        found.append(fail("desk notices", MESSAGE_HINT))
    if desk.lamp and "pjsipnotify" not in allowed:
        found.append(fail("desk notices", f"{LAMP_MODULE}; if it is loaded, the AMI user needs write = system"))
    asks = [action for action in ("Getvar", "MailboxCount") if desk.lamp and action.lower() not in allowed]
    if asks:
        found.append(fail("desk notices", LAMP_HINT.format(action=asks[0])))
    if (desk.message or desk.lamp) and not found:
        found.append(ok("desk notices", "Asterisk takes them; to see one, run: binding-ivr notice test USER"))
    return found
