"""From bytes to records, and which of them are settled."""
