"""The bundled sample: a generated data set whose answer is known, and its noise version."""
