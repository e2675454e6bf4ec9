"""Tables of text as numbered rows in Parquet: every value kept as it is written, every row accounted for."""
