"""Generates the files of the Helm chart that depend on the agent, and renders the chart."""
