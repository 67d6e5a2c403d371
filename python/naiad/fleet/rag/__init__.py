"""The retrieval pipeline of the fleet: corpus, models, and the two ways in which they are joined."""
