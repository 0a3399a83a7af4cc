"""What crossing from Python to the core and back costs (pytest-benchmark)."""
