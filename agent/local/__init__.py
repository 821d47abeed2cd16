"""Programs that need no AWS account and no cluster: the embedded CloudWatch Logs and the demo."""
