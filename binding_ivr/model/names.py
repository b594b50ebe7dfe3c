"""The forms of names in paths and tokens, and the names of scopes. It looks nothing up."""

import re

ACCOUNT = re.compile(r"[A-Za-z0-9._-]{1,64}")
USER = re.compile(r"[^\s\x00-\x20\x7f-\x9f/]{1,128}")
EXTENSION = re.compile(r"[A-Za-z0-9*#._-]{1,32}")
E164 = re.compile(r"\+?[0-9]{3,15}")
E164_OR_HASH = re.compile(r"\+?[0-9]{3,15}|[0-9a-f]{64}")
FORMS = {"account": ACCOUNT, "user_id": USER, "extension": EXTENSION, "e164": E164, "number": E164_OR_HASH}

LOOKUP_SCOPE = "lookup"
ADMIN_SCOPE = "admin"
ACCOUNT_SCOPE = "account:"
FIRST_RUN = "first-run"
"""The name of the key that is made at the first start when no sign-in is configured."""
