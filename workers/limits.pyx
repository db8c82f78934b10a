"""The directives that say how values are encoded: see limits.pxd."""


cdef class Limits:
    def __init__(self) -> None:
        """The defaults of the directives."""
        self.hash_max_listpack_entries = 512
        self.hash_max_listpack_value = 64
        self.list_max_listpack_size = -2
        self.list_compress_depth = 0
        self.set_max_intset_entries = 512
        self.set_max_listpack_entries = 128
        self.set_max_listpack_value = 64
        self.zset_max_listpack_entries = 128
        self.zset_max_listpack_value = 64
        self.stream_node_max_bytes = 4096
        self.stream_node_max_entries = 100
        self.hll_sparse_max_bytes = 3000

    def take(self, changes: dict[str, str]) -> None:
        """Takes changed directives, as canonical texts; leaves those that are not limits to others."""
        for name, text in changes.items():
            match name:
                case "hash-max-listpack-entries":
                    self.hash_max_listpack_entries = int(text)
                case "hash-max-listpack-value":
                    self.hash_max_listpack_value = int(text)
                case "list-max-listpack-size":
                    self.list_max_listpack_size = int(text)
                case "list-compress-depth":
                    self.list_compress_depth = int(text)
                case "set-max-intset-entries":
                    self.set_max_intset_entries = int(text)
                case "set-max-listpack-entries":
                    self.set_max_listpack_entries = int(text)
                case "set-max-listpack-value":
                    self.set_max_listpack_value = int(text)
                case "zset-max-listpack-entries":
                    self.zset_max_listpack_entries = int(text)
                case "zset-max-listpack-value":
                    self.zset_max_listpack_value = int(text)
                case "stream-node-max-bytes":
                    self.stream_node_max_bytes = int(text)
                case "stream-node-max-entries":
                    self.stream_node_max_entries = int(text)
                case "hll-sparse-max-bytes":
                    self.hll_sparse_max_bytes = int(text)
