"""The agent's own events, and what it watches to write them.

`events` shapes an own event and `outbox` publishes it. `gaps`, `heartbeat`, `duplicates`, `falco_watch` and `drift` are
the five things that the agent reports. `liveness` decides when a Falco counts as silent, restarted or gone; `notices`
reads Falco's messages about itself; `counts` counts what the pipeline has read.

Nothing here imports the pipeline: a part that must act on it is given a callable.
"""
