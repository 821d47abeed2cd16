"""Proof of completeness: what the agent states about the records it has shipped, and how a reader checks it."""
