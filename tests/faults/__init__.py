"""The fault kit: writers, rotations, kills and a misbehaving CloudWatch around the real agent process, and a proof.

    python -m tests.faults --list                    list the scenarios
    python -m tests.faults --seconds 600 --seed 7    play random scenarios for that long
    python -m tests.faults --only kill-9 --kills 200
    python -m tests.faults.outage                    ten minutes without CloudWatch, at 2,000 alerts a second
    python -m tests.faults.isolation                 one fault at a time, and the rest must not be harmed

A scenario is a value: a seed, a way to write and rotate, what happens to the agent, and the faults of CloudWatch. The
same seed makes the same choices, but the machine's clock and scheduler are real, so two runs are not identical. The
proof at the end of a scenario: every written record has arrived or lies in an announced gap, no id belongs to two
records, and the counters on /metrics balance. The audit proves the stored events, and an independent verifier agrees.
"""
