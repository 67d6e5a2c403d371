"""The ``pytorch`` backend. Only ``backend``, ``options``, ``archive`` and ``naming`` do without torch."""
