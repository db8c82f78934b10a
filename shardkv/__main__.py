"""The command `shardkv`, which is `python -m shardkv` too."""
import signal
import sys


def main() -> int:
    """Runs the server; returns the exit status."""
    # Ctrl-C in the middle of an import ends the process without a word, as SIGTERM does.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from shardkv.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
