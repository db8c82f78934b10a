"""Handlers by command name, registered the same way from Python and from Cython.

Python:  @command("object|encoding")
         def object_encoding(call: Call) -> None: …
Cython:  native("get", get_command)      with   cdef int get_command(Call call) except -1

A module of handlers is named once, in workers/commands/__init__.py (MODULES).
"""
from workers.call cimport Call

ctypedef int (*native_handler)(Call call) except -1

cdef class Handler:
    cdef readonly str name
    cdef native_handler function
    cdef object callable          # a Python handler, or None
    cdef int run(self, Call call) except -1

cdef int native(str name, native_handler function) except -1
