"""Telling others what happened: outbox, webhooks, mail, desk notices, and the user events of Asterisk."""
