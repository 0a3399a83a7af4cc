# Types for Cython, which compiles endpoints.py as it stands (native/build.rs). Plain Python does not read this file.

cdef class Endpoint:
    cdef public object address, idle
    cdef public long outstanding, failures, ejections
    cdef public bint removed, healthy
    cdef public double ejected_until_s

cdef class Endpoints:
    cdef public object on_removed
    cdef public long ejections, failures
    cdef object _all, _clock_s, _ejected, _ejection, _in_use
    cdef long _next

    cpdef choose(self, excluding=*)
