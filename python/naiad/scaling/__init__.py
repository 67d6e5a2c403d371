"""naiad over Ray Serve: many replicas of one model repository behind one address. ``replica`` is the file to
read first.
"""
