"""Telling others over HTTP: message, signature, pauses, client. What is told to whom, and when, is decided above."""
