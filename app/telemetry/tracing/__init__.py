"""OpenTelemetry traces of both processes, off unless an endpoint is set."""
