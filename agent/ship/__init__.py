"""From lanes of records to acknowledged batches: the shipper, CloudWatch Logs, dead letters."""
