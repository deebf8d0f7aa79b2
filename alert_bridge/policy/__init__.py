"""The policy file, from YAML with line numbers to frozen rules. Decides nothing: see `alert_bridge.routing`."""
