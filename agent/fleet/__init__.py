"""`falcowatch fleet`: the state of every node, from the heartbeats in CloudWatch alone."""
