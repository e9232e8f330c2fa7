"""Benchmarks of what a request costs. `./scripts/bench` runs them; docs/performance.md has results.

Compare ratios within one run, where the contestants take turns. Milliseconds depend on the machine.
"""
