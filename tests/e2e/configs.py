"""Pieces of config files for tests, to be filled with `format`."""

from __future__ import annotations

OPEN_LISTENER = """
[[listener]]
name = "ingress"
bind = "127.0.0.1:{port}"
authenticate = []
freshness = "none"
authorize = "allow_all"
"""

NODE = """
[node]
name = "test-1"
state_dir = "state"
workers = {workers}

[admin]
bind = "127.0.0.1:{admin_port}"
"""

ROUTES = """
[[upstream]]
name = "orders"
endpoints = [{endpoints}]

[[route]]
name = "all"
host = "*"
path = "/*"
upstream = "orders"
"""
