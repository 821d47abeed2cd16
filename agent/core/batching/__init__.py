"""From events to batches that PutLogEvents accepts."""
