"""Runs each framework's own tests of session backends with our adapters. See `scripts/suites`."""
