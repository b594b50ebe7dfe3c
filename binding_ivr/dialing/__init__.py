"""Carries attempts to their verdict: claims them, runs one call's shell each, and cleans up after a crash."""
