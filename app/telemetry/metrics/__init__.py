"""Metrics of both processes, for Prometheus."""
