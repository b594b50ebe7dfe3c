"""The pure call machine of one validation call: events and time in, commands out. No I/O, clock, logger or task here."""
