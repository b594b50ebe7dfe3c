"""The look-ups' four doors in a real Asterisk: one answer to each of 1,000 questions, and what each does in trouble."""

import asyncio
import contextlib
import random
import re
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from binding_ivr.app.lookups import StoreLookups
from binding_ivr.lab import Lab
from binding_ivr.lab.net import free_port
from binding_ivr.metrics import Metrics
from binding_ivr.model.rows import User
from binding_ivr.policy.callers import caller_plan, meanings
from tests import writings
from tests.e2e.doors import Asker, Question, Reply, open_http_door, open_sql_door
from tests.e2e.installation import Installation, installed
from tests.patience import SLOW

Facts = tuple[str, str, str, str]
NONE: Facts = ("NONE", "", "", "")
ACCOUNTS = ("default", "acme", "a.b-C_1")
STATES = ("", "none", "pending", *["verified"] * 5, "reported", "taken_over", "aged", "admin", "own_number")
OUTDATED = "+12021111111"
HOSTILE = (
    *('"', '1001"', "'", "1' OR '1'='1", "1001,", ",1001", "1001,1002", "1001&1002", "1001|1002", "1001;1002", "$[1]"),
    *("${EXTEN}", "${SHELL(id)}", "1001${EXTEN}", "1001\r", "1001\n", "1001\r\nAction: Originate", "\t1001", " 1001"),
    *("1001 ", "", " ", "+", "++1", "(1001", "1001)", "1001):0:1", "1001:0:2", ":", "):", "[1001]", "{1001}", "1001\\"),
    *(
        "\\1001",
        "%31001",
        "1001%00",
        "1001?x=1",
        "1001#/../x",
        "..",
        ".",
        "./1001",
        "../1001",
        "a/b",
        "١٠٠١",
        "１００１",
    ),
    *("ä", "\u202e1001", "\x7f", "\x01", "x" * 33, "9" * 33, "x" * 65, "1" * 300, "NULL", "null", "*", "%", "_1XXX"),
)

AGAIN = (
    *("+541123456789", "541123456789", "+54-11-2345-6789", "011541123456789", "00541123456789", "54111523456789"),
    *("+5491123456789", "+543512345678", "543512345678", "+5493512345678"),
)
MARKED = (
    *("+1-202-555-0000", "(202) 555-0000", "(+1) 202.555.0000", "1 202 555 0000", "0012025550000", "+1/2025550000"),
    *(
        "+1  202 5550000",
        "+1   2025550000",
        "2025550000 ",
        "-2025550000",
        "+12+025550000",
        "(2025550000",
        "+1(202)5550000",
    ),
)


@dataclass
class World:
    """What was written to the database, as plain facts to reason about answers."""

    extensions: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """(account, extension) -> (state, number)."""
    callers: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Verified number -> (account, lowest extension)."""
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(account, user, state, number)."""

    def add(self, account: str, user: str, extensions: tuple[str, ...], state: str, number: str) -> None:
        self.rows.append((account, user, state, number))
        for extension in extensions:
            self.extensions[account, extension] = (state, number)
        if state == "verified" and extensions:
            self.callers[number] = (account, min(extensions, key=lambda text: (len(text), text)))

    def number(self, account: str, extension: str) -> Facts:
        state, number = self.extensions.get((account, extension), ("", ""))
        if state == "verified":
            return "FOUND", number, account, extension
        return NONE if state in ("", "none", "pending") else ("SUSPENDED", "", "", "")

    def caller(self, asked: str) -> Facts:
        """By the rule of docs/lookups.md for a PBX in the US."""
        found = [(number, *self.callers[number]) for number in meanings(asked, caller_plan("US")) & set(self.callers)]
        return ("FOUND", *found[0]) if len(found) == 1 else NONE


def world() -> World:
    """Users of every state in three accounts that use the same extensions."""
    made = World()
    for a, account in enumerate(ACCOUNTS):
        for n in range(40):
            state = STATES[n % len(STATES)]
            extensions = (f"10{n:02}", f"*{n}#", f"Desk.{n}-_x"[: 9 + n % 3])
            number = ("+1202555", "+49301234", "+3361234")[n % 3] + f"{a}{n:03}"[-4:]
            made.add(account, f"u{n}", extensions, state, number)
    # One caller ID, two readings: of a number of Singapore, and of Alabama as it is written at home.
    made.add("default", "sg", ("2001",), "verified", "+6592230001")
    made.add("default", "al", ("2002",), "verified", "+16592230001")
    made.add("acme", "al2", ("2003",), "verified", "+16592230002")
    # Proven once, and since taken out of its numbering plan: still the user's, and dialled as it was.
    made.add("acme", "old", ("2004",), "verified", OUTDATED)
    made.add("acme", "nobody", (), "verified", "+12025559998")  # a user without an extension
    # A cell phone that calls without its 9, and one whose number without it is another's landline.
    made.add("acme", "ar", ("2005",), "verified", "+5491123456789")
    made.add("acme", "ar2", ("2006",), "verified", "+5493512345678")
    made.add("acme", "ar3", ("2007",), "verified", "+543512345678")
    return made


def questions(made: World) -> list[Question]:
    """1,000 of them, those for extensions first."""
    numbers = [Question("number", account, extension) for account, extension in made.extensions]
    numbers += [Question("number", account, text) for text in HOSTILE for account in ("default", "acme")][:110]
    numbers += [
        Question("number", text, "1003") for text in ("nobody", "DEFAULT", "default ", "x" * 65, "a/b", "..", "é")
    ]
    numbers += [Question("number", "default", f"30{n:02}") for n in range(500 - len(numbers))]
    callers = [Question("caller", text) for text in HOSTILE]
    callers += [Question("caller", text) for text in MARKED]
    for _, _, _, number in sorted(made.rows, key=lambda row: (row[2] != "verified", row[3][-1], row[3])):
        digits = number[1:]
        writings = [number, digits, f"011{digits}", f"00{digits}", digits.removeprefix("1"), f"+0{digits}"]
        callers += [Question("caller", text) for text in writings]
    callers[:0] = [Question("caller", text) for text in AGAIN]
    callers += [Question("caller", text) for text in ("911", "12", "1001", "anonymous", "+1" + "2" * 19)]
    return numbers[:500] + callers[:500]


@pytest.fixture(scope="module")
async def lab() -> AsyncIterator[Lab]:
    """A lab of this module's own: its doors are opened and closed."""
    async with Lab() as running:
        yield running


async def write(one: Installation, made: World, accounts: Sequence[str] = ACCOUNTS[1:]) -> None:
    """Write what *made* says, as if all the calls and changes had been made; *accounts* are new."""
    directory = one.opened.store.directory
    for account in accounts:
        await directory.add_account(account)
    users = [
        User(account, user, tuple(name for (of, name), (_, number) in made.extensions.items()
                                  if of == account and number == its), "en", "")
        for account, user, _, its in made.rows
    ]  # fmt: skip
    await directory.import_users(users)
    async with one.opened.store.db.link() as link, link.transaction():
        for account, user, state, number in made.rows:
            if not state:
                continue
            status = state if state in ("none", "pending", "verified") else "suspended"
            await link.execute(
                "INSERT INTO binding_ivr.bindings (account, user_id, status, reason, number, since, verified_at)"
                " VALUES ($1, $2, $3, $4, $5, now(), now())",
                *(account, user, status, state if status == "suspended" else None),
                None if status == "none" else number,
            )


def reply(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *headers, "", ""]).encode()


FAULTS: dict[str, bytes | None] = {
    "the key is refused": reply("401 Unauthorized"),
    "the service is out of order": reply("503 Service Unavailable"),
    "it is elsewhere, where nobody answers": reply("302 Found", "Location: http://127.0.0.1:1/v1/look-ups"),
    "it is elsewhere and wants the question again": reply("307 Temporary", "Location: http://127.0.0.1:1/v1/look-ups"),
    "it speaks something else": b"220 mail.example.com ESMTP\r\n",
    "it breaks off": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nFO",
    "it says nothing and hangs up": b"",
    "it says nothing": None,
    "nobody listens": None,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_asterisks_log_quotes_neither_key_nor_number_of_a_question_by_http_that_failed(
    lab: Lab, fault: str
) -> None:
    asked: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            asked.append(await reader.read(65_536))
            answer = FAULTS[fault]
            if answer is None:
                await over.wait()
            else:
                writer.write(answer)
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if fault == "nobody listens":
        server.close()
        await server.wait_closed()
    key, digits = "bik_4fTq8sLrZ0wVn2hXyM6d", "2025550147"
    began = lab.pbx.log_path.stat().st_size
    try:
        async with Asker(lab) as asker:
            await asker.learn([Question("caller", f"+1{digits}"), Question("number", "default", "1001")])
            door = {"BINDING_LOOKUP": "http", "BINDING_HTTP": f"http://lookup:{key}@127.0.0.1:{port}"}
            answers = [*await asker.ask("caller", 0, 1, 20, **door), *await asker.ask("number", 1, 2, 20, **door)]
    finally:
        over.set()
        server.close()
    assert [answer.status for answer in answers] == ["ERROR", "ERROR"]
    assert bool(asked) == (fault != "nobody listens")
    for question in asked:  # the key is in the body, and in no line that a server or proxy keeps
        assert key.encode() not in question.partition(b"\r\n\r\n")[0]
    with lab.pbx.log_path.open() as log:
        log.seek(began)
        told = log.read()
    assert key not in told
    assert digits not in told


@pytest.mark.alone
async def test_every_door_gives_the_same_answer_to_each_of_1000_questions(lab: Lab, tmp_path: Path) -> None:
    made = world()
    asked = questions(made)
    assert len(asked) == 1000
    sections = {"web": {"port": free_port("127.0.0.1"), "requests_per_second": 100_000}}
    async with installed(lab, tmp_path, node="doors", app="doors", answers_lookups=True, sections=sections) as one:
        await one.serve()
        await write(one, made)
        await open_sql_door(one)
        http = await open_http_door(one)
        right = [
            made.number(question.first, question.second) if question.kind == "number" else made.caller(question.first)
            for question in asked
        ]
        assert {facts[0] for facts in right} == {"FOUND", "NONE", "SUSPENDED"}
        assert sum(facts[0] == "FOUND" for facts in right) > 250
        began = time.monotonic()
        async with Asker(lab) as asker:
            await asker.learn(asked)
            await in_step(one, made)

            async def through(doors: str) -> list[Reply]:
                half = await asyncio.gather(
                    asker.ask("number", 0, 500, 120, BINDING_LOOKUP=doors, BINDING_HTTP=http),
                    asker.ask("caller", 500, 1000, 120, BINDING_LOOKUP=doors, BINDING_HTTP=http),
                )
                return [*half[0], *half[1]]

            names = ("astdb,agi", "agi", "sql", "http", "agi,astdb", "astdb")
            # One after another: all at once keep both cores full, and then a door may say ERROR because it is late.
            answers = {name: await through(name) for name in names}
            seconds = time.monotonic() - began
            trunks = await found_in_the_writings_of_trunks(one, asker, http, made)
        for name in names[:-1]:
            wrong = [
                (question, reply, due)
                for question, reply, due in zip(asked, answers[name], right, strict=True)
                if reply.facts != due
            ]
            assert not wrong, f"{name}: {len(wrong)} of 1000 differ, the first: {wrong[0]}"
        # AstDB alone knows what is proven, and not why something is not.
        assert [reply.facts for reply in answers["astdb"]] == [
            facts if facts[0] == "FOUND" else NONE for facts in right
        ]
        # Since when is told alike by the three that know it; how to dial by all.
        assert [reply.since for reply in answers["agi"]] == [reply.since for reply in answers["sql"]]
        assert [reply.since for reply in answers["agi"]] == [reply.since for reply in answers["http"]]
        assert all(reply.since for reply in answers["agi"] if reply.status in ("FOUND", "SUSPENDED"))
        for name in names:
            for reply in answers[name]:
                assert reply.dial == (f"PJSIP/{reply.number}@trunk" if reply.status == "FOUND" else "")
        direct: dict[str, list[Facts | None]] = {
            "code": await by_code(one, asked),
            "sql": await by_sql(one, asked),
            "http": await by_http(one, asked, http),
        }
        for name, facts in direct.items():
            wrong_ones = [
                (q, got, due) for q, got, due in zip(asked, facts, right, strict=True) if got not in (due, None)
            ]
            assert not wrong_ones, f"{name} itself: {wrong_ones[0]}"
        counts = {status: sum(facts[0] == status for facts in right) for status in ("FOUND", "NONE", "SUSPENDED")}
        print(
            f"\n1000 questions {counts}, each at {len(names)} settings of BINDING_LOOKUP in {seconds:.1f} s; median us:"
        )
        for name in names:
            times = sorted(reply.us for reply, due in zip(answers[name], right, strict=True) if due[0] == "FOUND")
            print(f"  {name:10} {times[len(times) // 2]:6}")
        print("callers in the writings of trunks that were found; the others could be two proven numbers:")
        for name, told in trunks.items():
            print(f"  {name:16} {told}")
    errors = [line for line in lab.pbx.log_path.read_text().splitlines() if "ERROR" in line or "syntax" in line]
    assert errors == []


async def found_in_the_writings_of_trunks(one: Installation, asker: Asker, http: str, made: World) -> dict[str, str]:
    """Ask for callers of the run of tests/writings.py at every door, and at one where the PBX stands elsewhere."""
    tried = list(writings.callers(1, random.Random(11)))
    numbers = sorted({one.e164 for one in tried} - set(made.callers))
    more = World()
    for n, number in enumerate(numbers):
        more.add("default", f"w{n}", (f"7{n:04}",), "verified", number)
    known = {*numbers, *made.callers}
    at_home = [one for one in tried if one.region == "US"]
    places = ("AR", "BJ", "BR", "BY", "DE", "GB", "IT", "MX", "RU")
    elsewhere = [one for place in places for one in tried if one.region == place]
    assert len(at_home) > 250
    assert len(elsewhere) > 80
    await write(one, more, ())
    await asker.learn([Question("caller", each.text) for each in (*at_home, *elsewhere)])
    await in_step(one, made, more)
    counts: dict[str, str] = {}

    async def check(door: str, first: int, some: list[writings.Caller]) -> None:
        last, found = first + len(some), 0
        answers = await asker.ask("caller", first, last, 120, BINDING_LOOKUP=door, BINDING_HTTP=http)
        for each, answer in zip(some, answers, strict=True):
            meant = meanings(each.text, caller_plan(each.region)) & known
            due = ("FOUND", each.e164) if len(meant) == 1 else ("NONE", "")
            assert (answer.status, answer.number) == due, (door, each, answer, meant)
            found += answer.status == "FOUND"
        counts[f"{door} in {some[0].region}"] = f"{found} of {len(some)}"

    for door in ("astdb,agi", "agi", "sql", "http"):
        await check(door, 0, at_home)
    for region in dict.fromkeys(each.region for each in elsewhere):
        there = [each for each in elsewhere if each.region == region]
        await one.lab.pbx.rx(f"database put binding plan/caller {caller_plan(region)}")
        await check("astdb", len(at_home) + elsewhere.index(there[0]), there)
    return counts


async def in_step(one: Installation, *worlds: World) -> None:
    """Wait until AstDB has every verified number."""
    keys = sum(sum(state == "verified" for state, _ in made.extensions.values()) + len(made.callers) for made in worlds)
    async with asyncio.timeout(20 * SLOW):
        while True:
            told = await one.lab.pbx.rx("database show binding")
            if len(re.findall(r"(?m)^/binding/(?:ext|num)/", told)) == keys:
                return


async def by_code(one: Installation, asked: list[Question]) -> list[Facts | None]:
    """Ask without any door."""
    lookups = StoreLookups(one.opened.config, one.opened.store, Metrics())
    found: list[Facts | None] = []
    for question in asked:
        if question.kind == "number":
            answer = await lookups.trusted_number(question.first, question.second)
        else:
            answer = await lookups.trusted_caller(question.first)
        found.append((answer.status.value, answer.number, answer.account, answer.extension))
    return found


async def by_sql(one: Installation, asked: list[Question]) -> list[Facts | None]:
    """Ask the functions themselves, with the raw texts."""
    found: list[Facts | None] = []
    async with one.opened.store.db.link() as link:
        for question in asked:
            if question.kind == "number":
                select, args = "SELECT * FROM binding_ivr.trusted_number($1, $2)", [question.first, question.second]
            else:
                select, args = "SELECT * FROM binding_ivr.trusted_caller($1)", [question.first]
            (row,) = await link.fetch(select, *args)
            found.append((row["status"], row["number"] or "", row["account"] or "", row["extension"] or ""))
    return found


async def by_http(one: Installation, asked: list[Question], door: str) -> list[Facts | None]:
    """Ask the API itself, with the raw texts; None for what no path can say (nothing, and dots)."""
    base = URL(door)
    gate = asyncio.Semaphore(20)

    headers = {"Authorization": aiohttp.encode_basic_auth("x", base.password or "")}
    async with aiohttp.ClientSession(headers=headers) as client:

        async def get(question: Question) -> Facts | None:
            parts = (question.first, question.second) if question.kind == "number" else (question.first,)
            if set(parts) & {"", ".", ".."}:
                return None
            texts = [quote(text, safe="") for text in parts]
            path = (
                f"accounts/{texts[0]}/extensions/{texts[1]}/trusted-number"
                if question.kind == "number"
                else f"trusted-callers/{texts[0]}"
            )
            url = URL(f"http://{base.host}:{base.port}/v1/{path}", encoded=True)
            async with gate, client.get(url) as reply:
                if reply.status == 404 and set("".join(parts)) & set("{}/"):  # no route of the API takes these
                    return NONE
                assert reply.status == 200, (question, await reply.text())
                told = await reply.json()
            return told["status"], told["number"], told["account"], told["extension"]

        return list(await asyncio.gather(*map(get, asked)))
