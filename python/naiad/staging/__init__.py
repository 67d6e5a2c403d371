"""From paths that somebody names to a model repository: what they hold, and links to it."""
