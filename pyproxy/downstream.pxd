# Types for Cython, which compiles downstream.py as it stands (native/build.rs). Plain Python does not read this file.

cimport cython

cdef long ABORT, AGAIN, BY_DOWNSTREAM, BY_NOBODY, BY_POOL, BY_UPSTREAM, CLOSE, CONNECT, END_DOWNSTREAM
cdef long END_UPSTREAM, INDEX_SHIFT, LINGER, MAX_RESENT_BYTES, PAUSE, RARE, RELEASE, RESEND, RESET, RESUME

cdef class Downstream:
    cdef object _service, _upstream, _pool, _pending, _sent, _transport, _write, _core, _receive, _last_pending
    cdef bint _written, _core_paused, _upstream_slow, _caller_slow, _again

    @cython.locals(flags=long)
    cpdef carry_out(self, action)
    cdef _connect(self, long flags, first)
    cdef _write_upstream(self, data)
    cdef _let_go(self, long flags)
    cdef _drop_upstream(self)
    cdef _end_or_pause(self, long flags)
    cdef _apply_reading(self)
