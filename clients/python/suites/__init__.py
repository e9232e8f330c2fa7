"""Runs each framework's own tests of session backends against our adapters. See `scripts/suites`."""
