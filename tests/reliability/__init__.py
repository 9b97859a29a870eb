"""Reliability and security: programs that lean on a real server for seconds or for hours."""
