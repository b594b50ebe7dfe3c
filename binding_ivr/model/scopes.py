"""What an API key is for, and the name of the first one."""

LOOKUP_SCOPE = "lookup"
ADMIN_SCOPE = "admin"
ACCOUNT_SCOPE = "account:"
FIRST_RUN = "first-run"
"""The name of the key that is made at the first start when no sign-in is configured."""
