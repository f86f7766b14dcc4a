"""The commands that people type: each module has a `main`, which reads the command line."""
