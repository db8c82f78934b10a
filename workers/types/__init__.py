"""The data types: what their values are made of, in either encoding, for the commands on them."""
