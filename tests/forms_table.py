"""Good and bad values of each form, for all that must agree on them: Python, the API, the dialplan and the tables."""

from collections.abc import Collection
from dataclasses import dataclass

from binding_ivr.model import forms

FORMS = {
    "account": forms.ACCOUNT,
    "extension": forms.EXTENSION,
    "user_id": forms.USER,
    "language": forms.LANGUAGE,
    "key_name": forms.KEY_NAME,
    "e164": forms.E164,
    "digits": forms.DIGITS,
    "callable": forms.CALLABLE,
    "callable_digits": forms.CALLABLE_DIGITS,
    "prefix": forms.PREFIX,
    "caller_digits": forms.CALLER_DIGITS,
    "caller": forms.CALLER,
    "reason": forms.REASON,
}
HASH = "0123456789abcdef" * 4


@dataclass(frozen=True)
class Case:
    """One value. `because`: the one thing that is wrong with it, where somebody looks at less."""

    form: str
    text: str
    good: bool
    because: str = ""

    def __str__(self) -> str:
        """For pytest."""
        return f"{self.form}-{self.text[:12]!a}-{self.because or self.good}"


GOOD = {
    "account": ("a", "default", "acme.eu_1-x", "-", "9", "a" * 64),
    "extension": ("1", "1001", "*68", "#1", "a.b-c_d", "9" * 32),
    "user_id": ("1001", "jane.doe@example.com", "jürgen", "sip:1", "王", "u" * 128),
    "language": ("", "en", "de_AT", "pt-BR", "a" * 16),
    "key_name": ("portal", ".x", "a" * 64),
    "e164": ("+123456", "+12025550123", "+123456789012345"),
    "digits": ("123456", "12025550123", "123456789012345"),
    "callable": ("+1234567", "+12025550123", "+123456789012345"),
    "callable_digits": ("1234567", "12025550123", "123456789012345"),
    "prefix": ("+12", "+4930", "+123456789012345"),
    "caller_digits": ("123", "+123", "12025550123", "01112025550123", "0" * 20),
    "caller": (
        "123",
        "+123",
        "12025550123",
        "0" * 20,
        "+1-202-555-0123",
        "(+1) 202.555 0123",
        "(202) 555-0123",
        "+(1)202",
    ),
    "reason": ("", "asked by letter", "„gewünscht“", "é" * 200),
}
BAD = {
    "account": ("", "a/b", "a b", "ä", "a*", "a" * 65, "a\nb"),
    "extension": ("", "10 01", "1/2", "1+2", "ä", "9" * 33, "1\n2"),
    "user_id": ("", "a b", "a/b", "a\tb", "a\x1fb", "a\x7fb", "u" * 129),
    "language": ("e n", "en.US", "ä", "a" * 17),
    "key_name": ("", "a b", "a/b", "a:b", "a" * 65),
    "e164": ("", "+", "123456", "+012345678", "+1234567890123456", "+1 202 555", "++123456", "+12345a"),
    "digits": ("", "+123456", "0123456", "1234567890123456", "12345a"),
    "callable": ("", "1234567", "+0234567", "+1234567890123456", "+123456x"),
    "callable_digits": ("", "+1234567", "0234567", "1234567890123456", "123456x"),
    "prefix": ("", "+", "12", "+02", "+1x", "+1234567890123456"),
    "caller_digits": ("", "+", "12", "+12", "1-2-3", "++123", "123a", "1" * 21),
    "caller": (
        "",
        "+",
        "12",
        "+12",
        "1-2",
        "++123",
        "123a",
        "1" * 21,
        " 123",
        "123 ",
        "-123",
        "1+23",
        "1---23",
        "1/2/3",
        "1:23",
    ),
    "reason": ("a\nb", "\x00", "a\x7fb", "a\x85b"),
}
BECAUSE = (
    ("account", ".", "dot"),
    ("account", ".x", "dot"),
    ("extension", ".1", "dot"),
    ("e164", "+12345", "short"),
    ("e164", "+12", "short"),
    ("digits", "12345", "short"),
    ("callable", "+123456", "short"),
    ("callable_digits", "123456", "short"),
    ("prefix", "+1", "short"),
    ("account", "default\n", "newline"),
    ("extension", "1001\n", "newline"),
    ("user_id", "1001\n", "newline"),
    ("language", "en\n", "newline"),
    ("key_name", "portal\n", "newline"),
    ("e164", "+12025550123\n", "newline"),
    ("callable", "+12025550123\n", "newline"),
    ("prefix", "+4930\n", "newline"),
    ("caller_digits", "123\n", "newline"),
    ("caller", "123\n", "newline"),
    ("reason", "asked\n", "newline"),
)


def cases(form: str = "", *, but: Collection[str] = ()) -> list[Case]:
    """Return the cases of a form (of all), without those that are bad *but* for what somebody does not look at."""
    every = [Case(name, text, good=True) for name, texts in GOOD.items() for text in texts]
    every += [Case(name, text, good=False) for name, texts in BAD.items() for text in texts]
    every += [Case(name, text, good=False, because=because) for name, text, because in BECAUSE]
    return [case for case in every if case.because not in but or not case.because if not form or case.form == form]
