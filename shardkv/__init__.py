"""shardkv: a Redis-compatible server for one multi-core host."""

__version__ = "0.1.0"
REDIS_VERSION = "7.2.4"  # whose behaviour this is; told to clients that adapt to the version
