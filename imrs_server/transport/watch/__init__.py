"""WatchAgent: one thread that sees what changed, a few that send, none that belongs to a stream."""
