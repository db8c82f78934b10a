"""`python -m shardkv` is the command `shardkv`."""
import sys

from shardkv.cli import main

if __name__ == "__main__":
    sys.exit(main())
