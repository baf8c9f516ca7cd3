"""The numbers of the Handle protocol: opcodes, response codes, flags, limits.

Names are those of RFC 3652 where it has one; the section stands beside each group.  What no RFC
says (the codes and opcodes of the Chinese clients, limits of the reference server) is marked.
"""

from enum import IntEnum, IntFlag

ENVELOPE_BYTES = 20  # RFC 3652 §2.1
HEADER_BYTES = 24  # RFC 3652 §2.2.2
DATAGRAM_BYTES = 512  # RFC 3652 §2.3: the longest UDP datagram, envelope included
PIECE_BYTES = DATAGRAM_BYTES - ENVELOPE_BYTES  # in every datagram but the last, exactly

# Limits of the reference server.  A message is measured without its envelope.
MAX_MESSAGE_BYTES = 262_144
MAX_HANDLE_BYTES = 2_048
MAX_VALUES = 2_048
MAX_ARRAY_BYTES = 1_048_576  # any single string or array
MAX_SLACK_BYTES = 8  # ours: stray bytes that we tolerate after a body; real clients send 2 or 4

MAX_U16 = 0xFFFF
MAX_U32 = 0xFFFF_FFFF
UNKNOWN_SITE_SERIAL = 0xFFFF  # "the sender has no site record" (RFC 3652 §2.2.2.4)

NEWEST_VERSION = (2, 11)
SHA256_VERSION = (2, 7)  # from here request digests and signatures are SHA-256
SHA1_VERSION = (2, 1)  # from here request digests are SHA-1, before it MD5 in the old form
NEW_CODES_VERSION = (2, 5)  # before it two response codes are sent as others


class Opcode(IntEnum):
    """What a message asks for, or answers (RFC 3652 §2.2.2.1)."""

    RESERVED = 0
    RESOLUTION = 1
    GET_SITE_INFO = 2
    CREATE_HANDLE = 100
    DELETE_HANDLE = 101
    ADD_VALUE = 102
    REMOVE_VALUE = 103
    MODIFY_VALUE = 104
    LIST_HANDLES = 105
    CHALLENGE_RESPONSE = 200
    VERIFY_RESPONSE = 201
    HOME_PREFIX = 300
    UNHOME_PREFIX = 301
    LIST_HOMED_PREFIXES = 302
    SESSION_SETUP = 400
    SESSION_TERMINATE = 401
    SESSION_EXCHANGE_KEY = 402
    NEXT_TRANSACTION = 1000  # these four: reference server's replication, not in the RFC
    RETRIEVE_TRANSACTION_LOG = 1001
    DUMP_HANDLES = 1002
    BACKUP_SERVER = 1003
    PASSWORD_LOGIN = 2000  # these two: Chinese clients only
    KEY_LOGIN = 2001


class ResponseCode(IntEnum):
    """How an answer came out (RFC 3652 §2.2.2.2); 0 in requests."""

    REQUEST = 0
    SUCCESS = 1
    ERROR = 2
    SERVER_BUSY = 3
    PROTOCOL_ERROR = 4
    OPERATION_NOT_SUPPORTED = 5
    RECURSION_LIMIT = 6
    SERVER_BACKUP = 7
    HANDLE_NOT_FOUND = 100
    HANDLE_ALREADY_EXISTS = 101
    INVALID_HANDLE = 102
    VALUES_NOT_FOUND = 200
    VALUE_ALREADY_EXISTS = 201
    INVALID_VALUE = 202
    OUT_OF_DATE_SITE_INFO = 300
    SERVER_NOT_RESPONSIBLE = 301
    SERVICE_REFERRAL = 302
    PREFIX_REFERRAL = 303
    NOT_ADMINISTRATOR = 400
    INSUFFICIENT_PERMISSIONS = 401
    AUTHENTICATION_NEEDED = 402
    AUTHENTICATION_FAILED = 403
    INVALID_CREDENTIAL = 404
    AUTHENTICATION_TIMEOUT = 405
    AUTHENTICATION_ERROR = 406
    ALREADY_LOGGED_IN = 407  # ID-SDK only; id-pointer hangs on it
    NOT_LOGGED_IN = 408  # ID-SDK only; id-pointer hangs on it
    SESSION_TIMEOUT = 500
    SESSION_FAILED = 501
    INVALID_SESSION_KEY = 502
    NEED_RSA_KEY_FOR_SESSION = 503
    INVALID_SESSION_SETUP = 504
    SESSION_MESSAGE_REJECTED = 505
    CREDENTIAL_CHECK_FAILED = 3001  # ID-SDK only


class Flag(IntFlag):
    """The operation flags of the header (RFC 3652 §2.2.2.3); the last three: Chinese clients."""

    AUTHORITATIVE = 0x8000_0000
    CERTIFY = 0x4000_0000
    ENCRYPT = 0x2000_0000
    RECURSIVE = 0x1000_0000
    CACHE_CERTIFY = 0x0800_0000
    CONTINUOUS = 0x0400_0000
    KEEP_ALIVE = 0x0200_0000
    PUBLIC_ONLY = 0x0100_0000
    REQUEST_DIGEST = 0x0080_0000
    OVERWRITE = 0x0040_0000
    MINT_SUFFIX = 0x0020_0000
    DO_NOT_REFER = 0x0010_0000
    RECURSIVE_AUTHENTICATION = 0x0000_0004
    TRUSTED_QUERY = 0x0000_0002
    TRUSTED_RESULT = 0x0000_0001


class EnvelopeFlag(IntFlag):
    """The top bits of the envelope's third byte (RFC 3652 §2.1.2); the low two are a version."""

    COMPRESSED = 0x80
    ENCRYPTED = 0x40
    TRUNCATED = 0x20


class TtlType(IntEnum):
    """How a value's TTL is meant (RFC 3651 §3.1)."""

    RELATIVE = 0
    ABSOLUTE = 1


class Permission(IntFlag):
    """Who may do what with a value (RFC 3651 §3.1)."""

    ADMIN_READ = 8
    ADMIN_WRITE = 4
    PUBLIC_READ = 2
    PUBLIC_WRITE = 1


class AdminPermission(IntFlag):
    """What an HS_ADMIN value lets its administrator do (RFC 3651 §3.2.1)."""

    ADD_HANDLE = 0x001
    DELETE_HANDLE = 0x002
    ADD_DERIVED_PREFIX = 0x004
    DELETE_DERIVED_PREFIX = 0x008
    MODIFY_VALUE = 0x010
    REMOVE_VALUE = 0x020
    ADD_VALUE = 0x040
    MODIFY_ADMIN = 0x080
    REMOVE_ADMIN = 0x100
    ADD_ADMIN = 0x200
    AUTHORIZED_READ = 0x400
    LIST_HANDLES = 0x800


class DigestAlgorithm(IntEnum):
    """How a request digest was made; 0 is the form before version 2.1, a length-prefixed MD5."""

    OLD_MD5 = 0
    MD5 = 1
    SHA1 = 2
    SHA256 = 3


class SessionMode(IntEnum):
    """How the two sides agree on a session key (RFC 3652 §3.5)."""

    PUBLIC_KEY = 1
    SERVER_KEY = 2
    IDENTITY_KEY = 3
    DIFFIE_HELLMAN = 4


class InterfaceKind(IntFlag):
    """What a service interface of a site takes (RFC 3651 §3.2.2)."""

    ADMIN = 1
    QUERY = 2


class Transport(IntEnum):
    """The transmission protocol of a service interface (RFC 3651 §3.2.2; HTTPS is later)."""

    UDP = 0
    TCP = 1
    HTTP = 2
    HTTPS = 3


class HashOption(IntEnum):
    """Which part of a handle chooses the server of a site (RFC 3651 §3.2.2)."""

    PREFIX = 0
    SUFFIX = 1
    WHOLE_HANDLE = 2


class SitePrimary(IntFlag):
    """The primary mask of a site (RFC 3651 §3.2.2)."""

    PRIMARY = 0x80
    MULTI_PRIMARY = 0x40
