"""What a call costs, beside its rivals in the same run, and whether that keeps the promises of slo.toml."""
