"""Pure rules: which numbers may be called, how often, and the access code. No I/O, clock or logger here."""
