"""Comparisons with redis-server: `make bench` and `make profile`."""
