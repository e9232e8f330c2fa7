"""Adapters for frameworks. Each module needs only its own framework, see docs/frameworks.md."""
