"""How much GPU memory models take together, and which GPU that needs."""
