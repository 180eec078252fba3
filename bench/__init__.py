"""Measures the service beside what its parts cost by themselves; not part of what is shipped."""
