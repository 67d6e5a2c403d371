"""Which instances, batches and delays suit a model: measured, for ``naiad tune``."""
