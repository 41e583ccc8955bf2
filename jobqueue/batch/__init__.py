"""Batch systems: what to say to each, what its answers mean, and the one file that runs commands.

`base.py` is the interface, `slurm.py` and `pbs.py` are adapters, `systems.py` finds one by name,
`render.py` writes job scripts, `commands.py` runs the batch system's commands.
"""
