"""`shardkv` with stand-ins for its acceptors and workers."""
import sys

from shardkv.cli import main
from shardkv.supervisor import process

process.MODULES.update(acceptor="fake_child", worker="fake_child")
sys.exit(main())
