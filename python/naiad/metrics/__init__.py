"""The metrics edge: Prometheus text with Triton's names and labels."""
