"""The processes that own data: worker loop, memory, commands."""
