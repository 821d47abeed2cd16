"""Isolation scenarios: one line, file, pod, answer, lane or clock misbehaves, and the rest must not be harmed.

    python -m tests.faults.isolation --list
    python -m tests.faults.isolation                     play all of them
    python -m tests.faults.isolation --only denied --keep DIR

Each scenario is a function whose name is its claim. It starts the real agent as a process with real files, plays a
fault, and returns a `Result`: the problems that it found (none: the claim holds) and what it measured. In every
scenario the peak memory of the agent must stay below 160 MiB. `catalogue` lists all scenarios, and marks the short ones
that `make test` plays too. `stage` starts the processes and reads their metrics, memory and logs; `arrivals` compares
what arrived with what was written.
"""
