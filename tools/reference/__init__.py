"""The reference pages that `python -m tools.docs` generates, one module a page, beside configuration and metrics."""
