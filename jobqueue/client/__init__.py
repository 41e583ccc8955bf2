"""The user's side: `Client`, `Future`, `as_completed`, `wait`."""
