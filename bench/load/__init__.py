"""Load on a running gateway, for operators: `python -m bench.load --help`."""
