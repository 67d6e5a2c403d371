"""What this machine has of what a server needs, and the line that mends what it lacks."""
