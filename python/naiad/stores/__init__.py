"""Stores of answers beyond this process."""
