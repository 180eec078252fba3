"""A package for pytest, which stops the installations of these tests when it leaves the folder."""
