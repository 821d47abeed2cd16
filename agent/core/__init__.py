"""The pure part of the agent: formats, limits and decisions as functions on values. No I/O, no clock, no tasks."""
