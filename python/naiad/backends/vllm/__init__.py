"""The ``vllm`` backend: large language models and embeddings by vLLM, one engine for each instance."""
