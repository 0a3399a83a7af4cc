# Types for Cython, which compiles pool.py as it stands (native/build.rs). Plain Python does not read this file.

cdef class Pool:
    cdef public object name, endpoints
    cdef object _bounds, _make, _loop, _attempts, _waiting, _ticker, _turn
    cdef long _connections, _tick
    cdef bint _closed

    cpdef take(self)
    cpdef put(self, upstream)
