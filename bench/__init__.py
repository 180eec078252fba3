"""Benchmarks the service against what its parts cost by themselves; not shipped."""
