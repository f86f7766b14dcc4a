"""Commands: each module has a `main`, which reads the command line."""
