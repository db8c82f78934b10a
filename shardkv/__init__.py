"""shardkv: a Redis-compatible server for one multi-core host."""

__version__ = "0.1.0"
