"""The ``tensorrt`` backend. Only ``cuda`` and ``runtime`` touch CUDA and TensorRT; all else knows the
protocols of ``contracts`` alone, and so runs, and is tested, without a GPU.
"""
