"""The dashboard, under /ui of the metrics port."""
