"""What redis-py imports before Python 3.11.3; for tests that have to run under the system's Python."""

from asyncio import timeout as timeout
