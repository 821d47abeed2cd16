"""The Grafana dashboard, one row for each question an operator asks; `python -m docs.grafana` writes its JSON."""
