"""Measures an earlier commit beside the present checkout: `python -m bench --against REVISION`."""
