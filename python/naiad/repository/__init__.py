"""Model repositories: what lies in them and which versions of it are served."""
