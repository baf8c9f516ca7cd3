"""Keys and what is done with them: the only importer of cryptography, and of the library for SM2 and SM3.

`server` holds the key of this server, `seal` hides secret keys in the database.  `proof` checks and makes answers to a
challenge, out of `signatures` and `macs`; `dh` agrees on a session key and `cipher` uses it.  `private` makes the keys
of administrators, `signing` those that sign messages between nodes, `files` keeps them on disk, `certificates` issues
and reads X.509, `sm` is SM2 and SM3.
"""

from resolver.keys.server import ServerKey

__all__ = ["ServerKey"]
