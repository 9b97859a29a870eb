"""Builds the component in which programs of Python files run."""
