"""Everything durable: the control store (incidents, outbox, receipts) and the telemetry store (logs, spans)."""
