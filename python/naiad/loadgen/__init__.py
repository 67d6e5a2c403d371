"""Load on a server that speaks Triton's protocols, and what it answers with, for ``naiad bench``."""
