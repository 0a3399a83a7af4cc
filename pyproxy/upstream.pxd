# Types for Cython, which compiles upstream.py as it stands (native/build.rs). Plain Python does not read this file.

cdef long BROKEN, CLOSED

cdef class Upstream:
    cdef object _downstream, _transport, _write
    cdef bint _reading_paused
    cdef public object endpoint, pool
    cdef public bint reused, in_call
    cdef public long idle_since
