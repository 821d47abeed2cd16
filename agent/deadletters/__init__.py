"""Dead letters: the records that CloudWatch rejected or could not take whole."""
