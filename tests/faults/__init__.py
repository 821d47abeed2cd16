"""The fault kit: writers, rotations, kills, a misbehaving CloudWatch, against the real process; and the proof after.

    python -m tests.faults --list                    what there is
    python -m tests.faults --seconds 600 --seed 7    scenarios drawn at random for that long
    python -m tests.faults --only kill-9 --kills 200
    python -m tests.faults.outage                    ten minutes without CloudWatch, at 2,000 alerts a second

A scenario is a value: a seed, a way to write and rotate, what happens to the process, what CloudWatch does. The
same seed makes the same choices; the clock and the scheduler of the machine stay what they are. Each ends in the proof:
every record that was written has arrived, or lies in a gap that was announced; no id stands for two records; and the
books on /metrics balance.
"""
