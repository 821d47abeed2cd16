"""What a laptop needs instead of an AWS account and a cluster: an embedded CloudWatch, a writer of alerts, the demo."""
