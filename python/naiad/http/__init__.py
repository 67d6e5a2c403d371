"""The HTTP edge: Triton's KServe v2 routes on aiohttp."""
