"""What runs models. ``base`` is the contract, ``registry`` finds a backend by its name."""
