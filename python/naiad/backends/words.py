"""Words of options and parameters."""

YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
"""In lower case."""
