"""The one error of the prompts; it does not know who prints it."""

from binding_ivr.errors import ConfigError


class PromptError(ConfigError):
    """A catalogue, recording or synthesiser that cannot be used; the message is one line that says what to do."""
