"""Ships the records to CloudWatch: batches for each stream, retries, and the journal of exact resume."""
