"""Who asks: the text that the database keeps, and what it is read back as."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.model.actors import Actor, ActorKind, Source, Who, read_source, system
from binding_ivr.policy.lifecycle import changer
from binding_ivr.web.auth.identity import Identity

NAMED = [kind for kind in ActorKind if kind is not ActorKind.SYSTEM]


@pytest.mark.parametrize(
    ("who", "text"),
    [
        (Who(ActorKind.USER, "1001"), "user:1001"),
        (Who(ActorKind.USER, "sip:1001"), "user:sip:1001"),
        (Who(ActorKind.ADMIN, "default/ops"), "admin:default/ops"),
        (Who(ActorKind.KEY, "portal"), "key:portal"),
        (Who(ActorKind.CLI, "root"), "cli:root"),
        (Who(ActorKind.SQL, "postgres"), "sql:postgres"),
        (Who(ActorKind.SYSTEM), "system"),
    ],
)
def test_the_text_of_each_kind(who: Who, text: str) -> None:
    assert str(who) == text
    assert Who.read(text) == who
    assert Actor(who.kind, who.name, Source.WEB).who == text


@given(st.sampled_from(NAMED), st.text(min_size=1))
def test_what_was_written_is_read_back(kind: ActorKind, name: str) -> None:
    assert Who.read(str(Who(kind, name))) == Who(kind, name)


@pytest.mark.parametrize("text", ["demo", "user", "user:", ":", "system:x", "job:retention", "USER:1001"])
def test_what_we_never_wrote_was_set_by_somebody_who_speaks_sql(text: str) -> None:
    assert Who.read(text) == Who(ActorKind.SQL, text)
    assert changer(Who.read(text), "1001") == "administrator"


def test_no_text_is_the_service() -> None:
    assert Who.read("") == Who(ActorKind.SYSTEM)
    assert system().who == "system"


def test_sources_are_read() -> None:
    assert [read_source(source.value) for source in Source] == list(Source)
    assert read_source("pigeon") is Source.SQL


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("user:1001", "user"),
        ("user:1002", "administrator"),  # how an administrator by a proxy was written once
        ("admin:default/1001", "administrator"),
        ("key:portal", "administrator"),
        ("cli:1001", "administrator"),
        ("sql:1001", "administrator"),
        ("system", "system"),
    ],
)
def test_what_a_user_is_told_of_whoever_changed_the_number(text: str, seen: str) -> None:
    assert changer(Who.read(text), "1001") == seen
    assert changer(None, "1001") == "system"


@pytest.mark.parametrize("kind", ["user", "proxy"])
def test_a_person_is_the_user_of_the_own_binding_alone(kind: str) -> None:
    person = Identity(kind, "acme", "1001", name="1001")  # type: ignore[arg-type]
    assert person.actor("::1", "acme", "1001") == Actor(ActorKind.USER, "1001", Source.WEB, "::1")
    for account, user_id in (("acme", "1002"), ("default", "1001"), ("", "")):
        assert person.actor("::1", account, user_id) == Actor(ActorKind.ADMIN, "acme/1001", Source.WEB, "::1")


@pytest.mark.parametrize("kind", ["key", "first_run"])
def test_a_key_is_never_the_user(kind: str) -> None:
    key = Identity(kind, name="1001")  # type: ignore[arg-type]
    assert key.actor("::1", "default", "1001") == Actor(ActorKind.KEY, "1001", Source.WEB, "::1")


def test_only_people_on_the_web_are_counted_by_address() -> None:
    for kind in ActorKind:
        for source in Source:
            people = source is Source.WEB and kind in (ActorKind.USER, ActorKind.ADMIN)
            assert Actor(kind, "x", source).is_person_on_the_web is people
