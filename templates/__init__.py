"""The job scripts: `base.sh.j2`, and one template for each batch system that extends it."""
