"""What clients ask of their scheduler about workers, and have them do."""
