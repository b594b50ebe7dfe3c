"""Each form stands once: the API's schema and the dialplan's REGEX agree with Python on good and bad values."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binding_ivr.config.sections import Phone
from binding_ivr.errors import Refusal
from binding_ivr.model import forms
from binding_ivr.resources import data_dir
from binding_ivr.web.api import schema
from binding_ivr.web.api.calls import OPERATIONS
from binding_ivr.web.api.openapi import document
from tests.forms_table import FORMS, HASH, Case, cases

API = msgspec.json.decode(document(OPERATIONS))


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_table(case: Case) -> None:
    assert forms.fits(FORMS[case.form], case.text) is case.good


@pytest.mark.parametrize("form", [forms.ACCOUNT, forms.USER, forms.EXTENSION, forms.LANGUAGE, forms.KEY_NAME])
def test_a_check_returns_the_text_or_says_the_form(form: str) -> None:
    assert forms.check(form, "x1") == "x1"
    with pytest.raises(Refusal, match=r"^(an? |write )") as caught:
        forms.check(form, "a b/c" * 99)
    assert caught.value.code == "invalid"


def test_reasons() -> None:
    assert forms.check_reason("  asked\n by   letter ") == "asked by letter"
    for bad in ("", "  a b"[:3], "x" * 201):
        with pytest.raises(Refusal, match="3 to 200 characters"):
            forms.check_reason(bad)


def test_what_is_kept_as_an_address() -> None:
    for good in ("", "anna@example.com", "anna@bücher.example", "a" * 254):
        assert forms.check_kept_email(good) == good
    for bad in ("a" * 255, "a\n@b", "a\x00b"):
        with pytest.raises(Refusal, match="254 characters"):
            forms.check_kept_email(bad)


# --- the API


SCHEMA: dict[str, Any] = {
    "account": schema.Name,
    "extension": schema.Extension,
    "user_id": schema.UserId,
    "language": Annotated[str, msgspec.Meta(pattern=forms.whole(forms.LANGUAGE))],
    "reason": schema.Reason,
}
TRAILING = ("newline",)
"""`$` of Python also holds before a last line feed; the store refuses or tidies what comes through."""


@pytest.mark.parametrize("case", [c for form in SCHEMA for c in cases(form, but=TRAILING)], ids=str)
def test_the_types_of_the_api_agree(case: Case) -> None:
    try:
        msgspec.convert(case.text, SCHEMA[case.form])
    except msgspec.ValidationError:
        assert not case.good
    else:
        assert case.good


@pytest.mark.parametrize("case", cases("e164", but=TRAILING), ids=str)
def test_the_numbers_of_the_configuration_agree(case: Case) -> None:
    assert _takes(Phone, case.text) is (case.good or not case.text)  # an empty one is none


def test_the_description_of_the_api_has_the_same_forms() -> None:
    told: dict[str, set[str]] = {}
    for path in API["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and "pattern" in parameter["schema"]:
                    told.setdefault(parameter["name"], set()).add(parameter["schema"]["pattern"])
    assert told == {
        name: {forms.whole(forms.PATH_NAMES[name])} for name in ("account", "user_id", "number")
    }  # a look-up takes any name: nonsense is answered NONE
    fields = API["components"]["schemas"]["UserIn"]["properties"]
    assert fields["extensions"]["items"]["pattern"] == forms.whole(forms.EXTENSION)
    assert fields["language"]["pattern"] == forms.whole(forms.LANGUAGE)
    for case in [c for name in ("account", "user_id") for c in cases(name, but=TRAILING)]:
        [pattern] = told[case.form]
        assert (re.search(pattern, case.text) is not None) is case.good, case
    [number] = told["number"]
    assert [re.search(number, text) is not None for text in ("+123", HASH, f"{HASH}0", f"+1{HASH}")] == [
        True, True, False, False,
    ]  # fmt: skip


def _takes(kind: Any, text: str) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


# --- the dialplan


@dataclass(frozen=True)
class Gate:
    """One REGEX of the dialplan, the text that it is asked with for a value, and what it does not look at."""

    file: str
    regex: str
    subject: Callable[[str], str]
    form: str
    but: tuple[str, ...] = ()


def _cut(longest: int) -> Callable[[str], str]:
    """As `${REPLACE(X,:,!)}/${X:LONGEST}`: what is too long leaves something behind the slash."""
    return lambda text: f"{text.replace(':', '!')}/{text[longest:]}"


NAME = "^[A-Za-z0-9_-][A-Za-z0-9._-]*/[A-Za-z0-9*#_-][A-Za-z0-9*#._-]*/$"
KEPT = "^[A-Za-z0-9._-]+/[A-Za-z0-9*#._-]+$"
GATES = (
    Gate("binding_ivr.conf", NAME, lambda text: f"{text.replace(':', '!')}/1001/{text[64:]}", "account"),
    Gate("binding_ivr.conf", NAME, lambda text: f"default/{text.replace(':', '!')}/{text[32:]}", "extension"),
    Gate("binding_ivr.conf", "^[+]?[0-9][0-9][0-9]+/$", _cut(20), "caller_digits"),
    Gate("binding_ivr.conf", f"^{forms.CALLER}$", lambda text: text.replace(":", "!"), "caller"),
    Gate("hotswitch.conf", f"^{forms.CALLER}$", lambda text: text.replace(":", "!"), "caller"),
    # what comes from AstDB or an answer has been checked before: only what could break the dialplan is looked at
    Gate("binding_ivr.conf", "^[+][1-9][0-9]+/$", _cut(16), "e164", ("short",)),
    Gate("binding_ivr.conf", "^[A-Za-z0-9._-]+/$", _cut(64), "account", ("dot",)),
    Gate("binding_ivr.conf", "^[A-Za-z0-9*#._-]+/$", _cut(32), "extension", ("dot",)),
    Gate("hotswitch.conf", "^[+][1-9][0-9]{6,14}$", str, "callable"),
    Gate("hotswitch.conf", "^[A-Za-z0-9_.*#-]{1,32}$", str, "extension", ("dot",)),
    Gate("hotswitch.conf", "^[A-Za-z0-9_.-]{1,64}$", str, "account", ("dot",)),
    Gate("samples/binding_ivr_out.conf", "^[1-9][0-9]{6,14}$", str, "callable_digits"),
)


def literals(file: str) -> set[str]:
    """The REGEX patterns of a dialplan file."""
    return set(re.findall(r'REGEX\("([^"]*)" ', (data_dir("dialplan") / file).read_text()))


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: f"{gate.file}-{gate.form}-{gate.regex[:9]}")
def test_the_dialplan_agrees(gate: Gate) -> None:
    assert gate.regex in literals(gate.file)
    asked = re.compile(gate.regex.removesuffix("$") + r"\Z")  # POSIX: $ is the end of the text
    for case in cases(gate.form, but=gate.but):
        assert (asked.match(gate.subject(case.text)) is not None) is case.good, case


def test_the_lock_asks_for_the_form_of_a_number_that_may_be_called() -> None:
    folder = data_dir("dialplan")
    written = "".join(file.read_text() for file in folder.rglob("*.conf"))
    told = set(re.findall(r'REGEX\("(\^\[1-9\]\[0-9\]\{[^"]*)" ', written))
    assert told == {f"^{forms.CALLABLE_DIGITS}$"}


@pytest.mark.parametrize("gate", [g for g in GATES if not g.but], ids=lambda gate: f"{gate.file}-{gate.form}")
@given(data=st.data())
def test_what_has_the_form_passes_the_dialplan(gate: Gate, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(rf"\A(?:{FORMS[gate.form]})\Z"))
    if gate.form == "caller_digits" and len(text) > 20:
        return  # + and 20 digits: the dialplan counts the + as well, and no number is as long
    assert re.match(gate.regex, gate.subject(text))


@given(st.from_regex(rf"\A{forms.ACCOUNT}\Z"), st.from_regex(rf"\A{forms.EXTENSION}\Z"))
def test_what_astdb_says_of_a_user_passes_the_dialplan(account: str, extension: str) -> None:
    assert KEPT in literals("binding_ivr.conf")
    assert re.match(KEPT, f"{account}/{extension}")
