"""The ``openvino`` backend. Only ``instance`` and ``model`` need the package."""
