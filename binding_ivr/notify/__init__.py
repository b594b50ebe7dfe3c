"""Telling others over HTTP and by mail: words, messages, clients. What is told to whom, and when, is decided above."""
