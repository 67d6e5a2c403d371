"""What the API does, once. HTTP and gRPC only convert."""
