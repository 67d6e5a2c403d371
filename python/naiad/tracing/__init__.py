"""Traces: which requests are traced, and what becomes of what the core notes of them."""
