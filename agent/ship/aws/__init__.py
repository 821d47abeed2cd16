"""What LogsClient is made of: connection, credentials, request bodies, outcomes. Used by `cloudwatch` alone."""
