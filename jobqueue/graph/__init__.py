"""Graphs of tasks: what dask and people write down, as steps that can be run anywhere."""
