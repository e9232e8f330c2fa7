"""What a request costs: `./scripts/bench`. What it found stands in docs/performance.md.

Ratios hold within one run, where what is compared is done in turns; milliseconds are the machine's.
"""
