"""Ask and administer other nodes: `resolution` asks by UDP, TCP and HTTP, `records` writes over HTTP.

The command line uses it for all that it does over the network, and so can any Python program
(docs/reference/client.md).
"""

from resolver.client.resolution import (
    NodeUnreachable,
    Query,
    Reply,
    ask_http,
    ask_tcp,
    ask_udp,
    wire_name,
)

__all__ = ["NodeUnreachable", "Query", "Reply", "ask_http", "ask_tcp", "ask_udp", "wire_name"]
