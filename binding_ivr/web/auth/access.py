"""Who may do what: one pure rule per kind of route. It knows neither requests nor the database."""

from enum import Enum

from binding_ivr.model.scopes import ACCOUNT_SCOPE, LOOKUP_SCOPE
from binding_ivr.web.auth.identity import Identity
from binding_ivr.web.problems import Problem


class Access(Enum):
    """What a route is about."""

    PUBLIC = "public"
    SIGNED_IN = "signed_in"
    OWN = "own"
    """A user's binding: that user, a key of the account, an administrator."""
    ACCOUNT = "account"
    """Things of an account: a key of the account, an administrator."""
    LOOKUP = "lookup"
    """The dialplan's questions: a look-up key, a key of the account, an administrator."""
    ADMIN = "admin"
    """Things of the whole installation."""


def authorize(identity: Identity, access: Access, account: str | None, user_id: str | None) -> None:
    """Raise Problem unless *identity* may use a route of kind *access* for *account* and *user_id* (None: not named).

    What belongs to somebody else is 404, as if it were not there; a credential of the wrong kind is 403.
    """
    if identity.is_admin or access in (Access.PUBLIC, Access.SIGNED_IN):
        return
    if identity.is_user:
        _authorize_user(identity, access, account, user_id)
        return
    if access is Access.LOOKUP and LOOKUP_SCOPE in identity.scopes:
        return
    accounts = accounts_of(identity)
    if not accounts or access is Access.ADMIN:
        raise wrong_scope()
    if account is not None and account not in accounts:
        raise not_here()


def _authorize_user(identity: Identity, access: Access, account: str | None, user_id: str | None) -> None:
    if access is not Access.OWN:
        raise wrong_scope()
    if (identity.account, identity.user_id) != (account, user_id):
        raise not_here()


def accounts_of(identity: Identity) -> frozenset[str]:
    """The accounts that a key with scopes `account:NAME` is for."""
    prefix = len(ACCOUNT_SCOPE)
    return frozenset(scope[prefix:] for scope in identity.scopes if scope.startswith(ACCOUNT_SCOPE))


def wrong_scope() -> Problem:
    """The credential is good, but not for this."""
    return Problem(403, "wrong_scope", "this credential may not do that")


def not_here() -> Problem:
    """It is not there, or it is somebody else's: the two look alike."""
    return Problem(404, "not_found", "there is nothing here, or it is not yours")
