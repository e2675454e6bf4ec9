"""Exact and product-quantised search over the events of a life (NumPy and faiss; knows nothing of models)."""
