"""Finds, installs, builds, checks and starts an OpenTelemetry Collector. Knows nothing of the bridge's inside."""
