"""Who may ask what: the routes of all protocols, the keys, and what they open."""
