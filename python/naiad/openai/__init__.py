"""The OpenAI-compatible edge: language models, embeddings and rerankers of the repository as OpenAI's clients
ask for them. ``api.py`` is the file to read first.
"""
