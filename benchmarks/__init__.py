"""Programs that measure, one for each question. Each prints a table and writes its results as JSON.

They run the agent as users do: a process of its own, log files as kubelet writes them, HTTP or HTTPS. Absolute times
mean nothing on a shared machine; so CPU is measured, not time, and held against a floor or a peer of the same run.
"""
