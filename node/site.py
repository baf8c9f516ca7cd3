"""The site record (HS_SITE) of this server: where clients find it, and its public key."""

from ipaddress import ip_address

from node.address import PublicAddress
from resolver.wire import (
    RsaPublicKey,
    SiteData,
    SiteInterface,
    SiteServer,
    Transport,
    encode_public_key,
)

KEY_FILE = "server-key.pem"  # in the data directory


def own_site(address: PublicAddress, key: RsaPublicKey, *, tls: bool = False) -> SiteData:
    """Return this server's HS_SITE; with `tls` its HTTP is HTTPS.

    TCP stands first, for administration and queries both: the Chinese clients take the first interface for everything.
    """
    packed = ip_address(address.host).packed
    interfaces = (
        SiteInterface(3, 1, address.native_port),
        SiteInterface(2, 0, address.native_port),
        SiteInterface(3, Transport.HTTPS if tls else Transport.HTTP, address.http_port),
    )
    server = SiteServer(1, packed.rjust(16, b"\0"), encode_public_key(key), interfaces)
    return SiteData(2, 11, 1, True, False, 2, b"", ((b"desc", b"idnode"),), (server,))
