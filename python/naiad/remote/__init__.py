"""Model repositories that lie elsewhere: S3, Google Cloud Storage, Azure, HTTP."""
