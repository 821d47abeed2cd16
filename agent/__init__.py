"""Falcowatch: ships Falco's alerts from a Kubernetes node to Amazon CloudWatch Logs."""
