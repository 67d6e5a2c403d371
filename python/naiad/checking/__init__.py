"""What is wrong with a model repository, without loading it."""
