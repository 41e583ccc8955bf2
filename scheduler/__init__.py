"""The task scheduler: a pure core (`state`, `placement`, `transfers`) in a thin asyncio shell.

The core knows no sockets, clock or randomness: what peers say comes in through plain method calls,
what is to be said to them stands in their outboxes afterwards. `server.Scheduler` is the shell.
"""
