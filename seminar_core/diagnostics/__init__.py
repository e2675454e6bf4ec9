"""What a trained run says: alignment, retrieval traces, comparisons."""
