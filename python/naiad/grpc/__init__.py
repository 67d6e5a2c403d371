"""The gRPC edge: Triton's GRPCInferenceService on grpcio's asyncio server."""
