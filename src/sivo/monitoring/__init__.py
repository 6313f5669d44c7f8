"""What operators look at: metrics, readiness, probes. See decision record 0015."""
