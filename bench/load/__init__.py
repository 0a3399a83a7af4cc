"""Whole proxies under load: pyproxy and its rivals, set up alike, each on one core, played at by the same generator."""
