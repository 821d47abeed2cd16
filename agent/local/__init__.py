"""What runs on this machine alone: the embedded CloudWatch, and the demonstration."""
