"""Directives, the grammar of redis.conf, and the settings of a running instance."""
from shardkv.config.parser import COMMAND_LINE, CommandLine, ConfigFileError, parse_command_line, read_all
from shardkv.config.rewrite import rewrite_file
from shardkv.config.settings import ConfigError, Settings

__all__ = [
    "COMMAND_LINE", "CommandLine", "ConfigError", "ConfigFileError", "Settings", "parse_command_line", "read_all",
    "rewrite_file",
]
