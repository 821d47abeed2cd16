"""CloudWatch Logs: the only package that imports the AWS SDK."""
