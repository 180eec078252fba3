"""Follows the README literally, in a copy of this checkout."""
