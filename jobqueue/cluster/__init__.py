"""Clusters: a scheduler, and pools of jobs that bring it workers."""
