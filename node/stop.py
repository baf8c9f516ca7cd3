"""Stop: what a process of the node waits for; and whether it is the operator who wants it."""

import asyncio


class Stop(asyncio.Event):
    """Set when the process shall end.  `is_in_order` is false when the supervisor died: it had no time to say why."""

    is_in_order = True
