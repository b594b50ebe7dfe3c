"""The arguments of every command, and the name of the function that runs it. It runs and imports no command."""

import argparse
from pathlib import Path
from uuid import UUID

from binding_ivr import __version__
from binding_ivr.call.prompts import PromptGroup


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; the parsed namespace holds `run`, the name of the command's function: `module.function`."""
    parser = argparse.ArgumentParser(
        prog="binding-ivr",
        description="Proves with an automated call that a PBX user's cell phone number is theirs.",
    )
    parser.add_argument("--version", action="version", version=f"binding-ivr {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, metavar="FILE", help="configuration file; see check-config --sample")
    common.add_argument("--json", action="store_true", help="print JSON for programs")
    adder = _Adder(parser.add_subparsers(metavar="COMMAND", required=True), common)
    _operation(adder)
    _users_commands(adder)
    _management(adder)
    _policy(adder)
    _limits(adder)
    return parser


class _Adder:
    """Adds commands that all take the common options."""

    def __init__(self, parsers: "argparse._SubParsersAction[argparse.ArgumentParser]", common: argparse.ArgumentParser):
        self._parsers = parsers
        self._common = common

    def command(
        self, name: str, run: str, text: str, *, account: bool = False, user: bool = False
    ) -> argparse.ArgumentParser:
        """Add one command that the function *run* carries out, such as `commands.bind`; a *user* is in an account."""
        parser = self._parsers.add_parser(name, parents=[self._common], help=text, description=text)
        parser.set_defaults(run=run)
        if user:
            parser.add_argument("user", metavar="USER")
        if account or user:
            parser.add_argument("--account", default="default", metavar="NAME", help="account (default: default)")
        return parser

    def group(self, name: str, text: str) -> "_Adder":
        """Add a command that has commands of its own."""
        parser = self._parsers.add_parser(name, help=text, description=text)
        return _Adder(parser.add_subparsers(metavar="COMMAND", required=True), self._common)


def _operation(add: _Adder) -> None:
    add.command("serve", "serve.serve", "run the service on this node")
    add.command("migrate", "migrate.migrate", "bring the database to this version's schema")
    check = add.command("check-config", "check_config.check_config", "check the configuration, and say what is wrong")
    check.add_argument("--sample", action="store_true", help="print the commented sample file instead")
    add.command("doctor", "doctor.doctor", "check every part, and say what to do")
    add.command(
        "resync", "resync.resync", "compare the trusted numbers in Asterisk's AstDB with the database, and correct them"
    )
    out = add.group("outbox", "events on their way to webhooks")
    listed = out.command("list", "outbox.list_deliveries", "show the deliveries that are waiting, oldest first")
    listed.add_argument("--dead", action="store_true", help="show those that were given up instead")
    listed.add_argument("--limit", type=_positive, default=100, metavar="N", help="at most N (default: 100)")
    again = out.command("retry", "outbox.retry", "try a delivery now, even a dead one")
    which = again.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", type=UUID, metavar="ID", help="the id that outbox list shows")
    which.add_argument("--all", action="store_true", help="all dead deliveries")
    out.command("drop", "outbox.drop", "give a delivery up for good").add_argument("id", type=UUID, metavar="ID")
    notices = add.group("notice", "notices to users about their number")
    notices.command("test", "notice.test", "send a test on every channel, and show what came of it", user=True)
    demo = add.command("demo", "demo.demo", "a real call on a real Asterisk proves a number")
    demo.add_argument("--auto", action="store_true", help="stop after the call; exit 0 only if the number was proven")
    lab = add.group("lab", "a real Asterisk in a folder, with a scripted phone network")
    for name, text in (
        ("up", "start it in the background and write a configuration for the service"),
        ("down", "stop it"),
        ("status", "show its ports, versions and channels"),
    ):
        parser = lab.command(name, "lab.lab", text)
        parser.add_argument("--folder", type=Path, help="its folder (default: in the cache folder)")
        parser.set_defaults(action=name)
    prompts = add.group("prompts", "the recordings that the calls play")
    listing = prompts.command("list", "prompts.prompts_list", "show every prompt in every language and its source")
    listing.add_argument("--output", type=Path, metavar="DIR", help="show what is in Asterisk's sounds folder")
    listing.add_argument(
        "--group", action="append", default=[], choices=[group.value for group in PromptGroup], help="only these"
    )
    build = prompts.command("build", "prompts.prompts_build", "write the prompts, your own recordings first")
    build.add_argument("--output", type=Path, metavar="DIR", help="Asterisk's sounds folder")
    build.add_argument("--render", action="store_true", help="speak the shipped set again (for maintainers)")
    build.add_argument("--force", action="store_true", help="with --render: also speak what is up to date")
    build.add_argument("--synthesiser", choices=("auto", "kokoro", "espeak-ng", "none"), default="auto")
    build.add_argument("--voices", type=Path, metavar="DIR", help="folder with the synthesiser's voices")


def _users_commands(add: _Adder) -> None:
    bind = add.command("bind", "commands.bind", "accept a number for a user and call it", user=True)
    bind.add_argument("number", metavar="NUMBER", help="in national or international form")
    again = add.command("revalidate", "commands.revalidate", "call the user's number again, with a new code", user=True)
    back = add.command(
        "undo", "commands.undo", "call the last number that was changed or removed, to restore it", user=True
    )
    for parser in (bind, again, back):
        parser.add_argument("--now", action="store_true", help="call even outside calling hours")
        parser.add_argument("--wait", action="store_true", help="follow the call; exit 0 only if the number was proven")
    for name, run, text in (
        ("status", "commands.status", "show a user's number and its status"),
        ("cancel", "commands.cancel", "end a user's call in progress"),
        ("remove", "commands.remove", "forget a user's number"),
        ("suspend", "commands.suspend", "stop trusting a user's number"),
        ("resume", "commands.resume", "end a suspension"),
    ):
        parser = add.command(name, run, text, user=True)
        if name in ("remove", "suspend", "resume"):
            _reason(parser)
    lookup = add.command("lookup", "commands.lookup", "look up a trusted number as the dialplan does", account=True)
    what = lookup.add_mutually_exclusive_group(required=True)
    what.add_argument("extension", nargs="?", metavar="EXTENSION")
    what.add_argument("--caller", metavar="NUMBER", help="whose trusted number is this?")
    attempts = add.command("attempts", "commands.attempts", "list validation calls, newest first")
    attempts.add_argument("--account", metavar="NAME")
    attempts.add_argument("--user", metavar="USER")
    attempts.add_argument("--since", metavar="TIME", help="ISO 8601, or an age such as 30m, 12h, 7d")
    attempts.add_argument("--limit", type=_positive, default=50, metavar="N", help="at most N (default: 50)")
    moves = add.command("moves", "personal.moves", "list calls that Call Hot-switch moved, or did not, newest first")
    moves.add_argument("extension", nargs="?", metavar="EXT", help="only of this extension")
    moves.add_argument("--account", metavar="NAME")
    moves.add_argument("--user", metavar="USER")
    moves.add_argument("--since", metavar="TIME", help="ISO 8601, or an age such as 30m, 12h, 7d")
    moves.add_argument("--limit", type=_positive, default=50, metavar="N", help="at most N (default: 50)")
    audit = add.command("audit", "personal.audit", "what was done, by whom, from where and why, newest first")
    audit.add_argument("--account", metavar="NAME")
    audit.add_argument("--user", metavar="USER")
    audit.add_argument("--action", metavar="KIND", help="only this kind, such as key.added, or its first word (key)")
    audit.add_argument("--since", metavar="TIME", help="ISO 8601, or an age such as 30m, 12h, 7d")
    audit.add_argument("--limit", type=_positive, default=100, metavar="N", help="at most N (default: 100)")
    add.command("export", "export.export", "everything that is stored about a user, as JSON", user=True)
    gone = add.command("erase", "personal.erase", "forget a user; what is counted stays under a pseudonym", user=True)
    gone.add_argument("--reason", required=True, metavar="TEXT", help="why; the audit keeps it, so name nobody")
    suppress = add.group("suppress", "numbers that are never called")
    for name in ("add", "remove", "check"):
        parser = suppress.command(
            name, "commands.suppress", f"{name} a number" + (", or its hash as listed" if name == "remove" else "")
        )
        parser.add_argument("number", metavar="NUMBER")
        parser.set_defaults(action=name)
        if name != "check":
            _reason(parser)
    suppress.command("list", "commands.suppress", "list them, by keyed hash").set_defaults(action="list")


def _management(add: _Adder) -> None:
    account = add.group("account", "tenants")
    new = account.command("add", "manage.account_add", "add an account")
    new.add_argument("name", metavar="NAME")
    account.command("list", "manage.account_list", "list accounts and their own settings")
    change = account.command("set", "manage.account_set", "override a setting for one account")
    change.add_argument("name", metavar="NAME")
    change.add_argument("key", metavar="SECTION.KEY", help="for example limits.user_hour; or routes")
    change.add_argument(
        "value", metavar="JSON", nargs="?", help="a JSON value or plain text; leave it out to clear the setting"
    )

    user = add.group("user", "PBX users and their extensions")
    new = user.command("add", "manage.user_add", "add or change a user", user=True)
    new.add_argument("--extension", action="append", default=[], metavar="EXT", help="may be repeated (default: USER)")
    new.add_argument("--language", default="", metavar="LANG", help="language of the call, such as en, es, fr, de, zh")
    new.add_argument("--email", default="", metavar="ADDRESS")
    gone = user.command("remove", "manage.user_remove", "remove a user and their number", user=True)
    _reason(gone)
    everyone = user.command("list", "manage.user_list", "list users")
    everyone.add_argument("--account", metavar="NAME")
    many = user.command(
        "import", "manage.user_import", "add users from a CSV file: user,extensions,language,email", account=True
    )
    many.add_argument("file", type=Path, metavar="FILE")

    add.command("link", "access.link", "make a sign-in link to the page; it works once, within 10 minutes", user=True)
    key = add.group("api-key", "keys for programs that use the HTTP API, and for administrators")
    new = key.command("add", "access.api_key_add", "make a key; it is printed once")
    new.add_argument("name", metavar="NAME")
    new.add_argument(
        "--scope", action="append", required=True, metavar="SCOPE", help="admin, account:NAME, lookup; may be repeated"
    )
    new.add_argument("--days", type=int, metavar="N", help="days until its end, 0 for none (default: 365)")
    key.command("list", "access.api_key_list", "list them with their last use and end, without the keys themselves")
    gone = key.command("remove", "access.api_key_remove", "revoke a key, and end the sessions opened with it")
    gone.add_argument("name", metavar="NAME")

    own = add.group("own-number", "numbers of the account itself, which are never called")
    for name, text in (("add", "add one"), ("remove", "remove one")):
        parser = own.command(name, "manage.own_number", text, account=True)
        parser.add_argument("value", metavar="VALUE", help="a DID, an extension, or a pattern such as _1202555XXXX")
        parser.add_argument("--kind", choices=("did", "extension", "pattern"), help="(default: guessed from VALUE)")
        parser.set_defaults(action=name)
    everything = own.command("list", "manage.own_number_list", "list them")
    everything.add_argument("--account", metavar="NAME")
    many = own.command("import", "manage.own_number_import", "add them from a CSV file: value,kind", account=True)
    many.add_argument("file", type=Path, metavar="FILE")


def _reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; the audit keeps it")


def _policy(add: _Adder) -> None:
    number = add.group("number", "look at single numbers")
    check = number.command(
        "check", "number.number_check", "tell step by step what would happen to a number; nobody is called"
    )
    check.add_argument("number", metavar="NUMBER", help="as a user would enter it")
    check.add_argument("--account", default="default", metavar="NAME", help="account (default: default)")
    check.add_argument("--user", default="", metavar="USER", help="ask for this user's limits too")
    check.add_argument("--now", action="store_true", help="as if it were entered for a call at any hour")
    exception = add.group("exception", "numbers that are allowed for a time, although the policy refuses them")
    for name, run, text in (
        ("add", "exception.exception_add", "allow a number, or all numbers with a prefix"),
        ("remove", "exception.exception_remove", "end an exception now"),
    ):
        parser = exception.command(name, run, text)
        parser.add_argument("number", metavar="NUMBER", help="a number, or with --prefix a prefix such as +4479")
        parser.add_argument("--prefix", action="store_true", help="NUMBER is a prefix")
        parser.add_argument("--account", default="", metavar="NAME", help="only in this account (default: in all)")
        if name == "add":
            parser.add_argument("--reason", required=True, metavar="TEXT", help="why; the audit keeps it")
            parser.add_argument("--until", default="30d", metavar="TIME", help="ISO 8601, or 12h, 30d (default: 30d)")
    exception.command("list", "exception.exception_list", "list them; those that have ended come last")
    dialplan = add.group("dialplan", "what Asterisk's dialplan needs")
    lock = dialplan.command(
        "policy", "dialplan.dialplan_policy", "the outgoing context that dials only allowed numbers"
    )
    lock.add_argument("--output", type=Path, metavar="FILE", help="file to write (default: print it)")
    dialplan.command("key", "dialplan.dialplan_key", "the line that lets another Asterisk ask over FastAGI")


def _limits(add: _Adder) -> None:
    limits = add.group("limits", "see what the limits hold back, and lift it")
    seen = limits.command("show", "limit.limits_show", "show paused calls, locked-out users, and how much is used")
    seen.add_argument("--account", metavar="NAME", help="only this account (default: all)")
    user = limits.command(
        "reset-user", "limit.limits_reset_user", "stop counting a user's past calls and failed tries", user=True
    )
    number = limits.command("reset-number", "limit.limits_reset_number", "stop counting the past calls to a number")
    number.add_argument("number", metavar="NUMBER")
    resume = limits.command("resume", "limit.limits_resume", "resume paused calls")
    whose = resume.add_mutually_exclusive_group()
    whose.add_argument("--account", default="default", metavar="NAME", help="account (default: default)")
    whose.add_argument("--system", action="store_true", help="resume the whole system")
    for parser in (user, number, resume):
        parser.add_argument("--reason", required=True, metavar="TEXT", help="why; the audit keeps it")


def _positive(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError("must be a whole number from 1 to 100000")
    return int(text)
