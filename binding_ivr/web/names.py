"""The forms of names in paths and tokens. It looks nothing up."""

import re

ACCOUNT = re.compile(r"[A-Za-z0-9._-]{1,64}")
USER = re.compile(r"[^\s\x00-\x20\x7f-\x9f/]{1,128}")
EXTENSION = re.compile(r"[A-Za-z0-9*#._-]{1,32}")
E164 = re.compile(r"\+?[0-9]{3,15}")
E164_OR_HASH = re.compile(r"\+?[0-9]{3,15}|[0-9a-f]{64}")
FORMS = {"account": ACCOUNT, "user_id": USER, "extension": EXTENSION, "e164": E164, "number": E164_OR_HASH}
