"""One base, many voices: a service that answers for many bots at once, in one batch."""
