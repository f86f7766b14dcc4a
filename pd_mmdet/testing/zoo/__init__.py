"""AFP tried on MMDetection's configs."""
