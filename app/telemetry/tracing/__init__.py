"""Traces of both processes, by OpenTelemetry; none, and no cost, where no endpoint is set."""
