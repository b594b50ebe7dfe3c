"""The pure call machine of one validation call: events and time in, commands out; no I/O, clock, logger or task."""
