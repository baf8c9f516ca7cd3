"""Ask and administer other nodes: `resolution` asks by UDP, TCP and HTTP, `records` reads and writes over HTTP.

The command line uses it for all that it does over the network, and so can any Python program
(docs/reference/client.md).
"""

from resolver.client.credentials import Basic, Certificate, Credentials, Token
from resolver.client.documents import Document
from resolver.client.failures import (
    Busy,
    ClientError,
    ConditionFailed,
    Conflict,
    Forbidden,
    Gone,
    InsecureLogin,
    Invalid,
    LoginFailed,
    LoginNeeded,
    NodeUnreachable,
    NotFound,
    NotOffered,
    Refused,
    ServerFault,
)
from resolver.client.outcomes import Page, Record, Revision, Revisions, Written
from resolver.client.records import Client, Terms
from resolver.client.resolution import Query, Reply, ask_http, ask_tcp, ask_udp, wire_name

__all__ = [
    "Basic",
    "Busy",
    "Certificate",
    "Client",
    "ClientError",
    "ConditionFailed",
    "Conflict",
    "Credentials",
    "Document",
    "Forbidden",
    "Gone",
    "InsecureLogin",
    "Invalid",
    "LoginFailed",
    "LoginNeeded",
    "NodeUnreachable",
    "NotFound",
    "NotOffered",
    "Page",
    "Query",
    "Record",
    "Refused",
    "Reply",
    "Revision",
    "Revisions",
    "ServerFault",
    "Terms",
    "Token",
    "Written",
    "ask_http",
    "ask_tcp",
    "ask_udp",
    "wire_name",
]
