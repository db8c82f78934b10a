error_counts: dict[bytes, int]
