"""Which records are the same problem: a pure, versioned, explained function of what a record says. No clock, no state."""
