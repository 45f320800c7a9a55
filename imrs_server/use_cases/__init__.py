"""What the service does: one module per noun, knowing neither gRPC nor SQL text."""
