"""The child process that hosts an instance of a Python model, so that it can take nothing else down."""
