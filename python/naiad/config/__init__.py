"""Model configurations: parse, complete, validate, print."""
