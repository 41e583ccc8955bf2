"""What a job starts: the job agent (`python -m jobqueue.worker`) and its worker processes."""
