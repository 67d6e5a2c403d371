"""naiad beside a real Triton: same models, same client, same machine, in turns."""
