"""From the bytes of a log file to records, and which of the records are settled."""
