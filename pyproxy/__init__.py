"""A zero-trust access proxy for microservices: every call proven, fresh, permitted and on record."""
