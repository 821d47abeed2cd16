"""The command `falcowatch audit`: proves from CloudWatch alone that no event is missing, altered or forged.

`filtered` and `exported` bring the events, `store` keeps them on disk in the order of the proof, `verify` checks them
node by node against the seals, `heads` compares the seals with Prometheus, and `report` prints the result. The format
of the seals is in `core.proof` and in docs/proof.md.
"""
