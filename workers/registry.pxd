"""Handlers by command name, registered the same way from Python and from Cython.

Python:  @command("object|encoding")
         def object_encoding(call: Call) -> None: …
Cython:  native("get", get_command)      with   cdef int get_command(Call call) except -1
         native("hget", hget_command, member=2)     argument 2 is looked up in the collection under the first key

A module of handlers is named once, in workers/commands/__init__.py (MODULES).
"""
from workers.call cimport Call

ctypedef int (*native_handler)(Call call) except -1

cdef class Handler:
    cdef readonly str name
    cdef native_handler function
    cdef object callable          # a Python handler, or None
    cdef int member               # argument that names a member or field, 0 = none: see workers/ahead.pxd
    cdef int run(self, Call call) except -1

cdef int native(str name, native_handler function, int member=*) except -1
