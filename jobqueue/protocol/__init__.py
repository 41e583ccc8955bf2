"""What peers say to each other, and how it becomes bytes: no sockets, no event loop."""
