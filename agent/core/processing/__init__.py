"""From records to events: one synchronous pass over a chunk."""
