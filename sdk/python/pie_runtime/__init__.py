"""The Python runtime: what runs a program of Python files inside of the server."""

from __future__ import annotations
