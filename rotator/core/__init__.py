"""The pure half of rotator: values in, values out.

Nothing in here reads a clock, draws luck, opens a file or a socket, takes a lock, sleeps or logs. The time is an
argument, in seconds since the epoch. Modules stand on floors and import only from below (see ``pyproject.toml``).
"""
