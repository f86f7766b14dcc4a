"""Try AFP, and the chain of commands, on MMDetection's configs (its model zoo)."""
