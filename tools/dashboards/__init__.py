"""The Grafana dashboard: one row of panels per question. `python -m tools.dashboards` writes its JSON."""
