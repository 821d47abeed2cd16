"""Benchmark programs. Each measures one property, prints a table and writes its results as JSON.

They run the agent as users do: as a separate process, with log files as kubelet writes them, over HTTP or HTTPS.
Elapsed time depends on the load of a shared machine, so the programs measure CPU time where they can, and compare it
with a baseline or another log shipper in the same run.
"""
