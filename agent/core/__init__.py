"""The pure core: formats, limits and decisions as functions on values; no I/O, no clock, no tasks."""
