"""Settings: every knob of the node, with its default and its sentence; `config` reads them.

Each field carries how its text is read and the sentence that the help and the reference show.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from node.address import (
    Endpoint,
    PublicAddress,
    loopback_if_any,
    read_endpoints,
    read_public_address,
)
from node.reading import (
    Reading,
    account,
    certificate,
    directory,
    file_path,
    https_url,
    identities,
    networks,
    one_of,
    one_worker_a_core,
    origin_name,
    secondary_prefix,
    three_endpoints,
    true_or_false,
    url_of,
    value_types,
    whole_number,
    worker_count,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings.  Each has a default that works; `describe()` lists them for `idnode serve --help`."""

    http_listen: Annotated[
        tuple[Endpoint, ...], Reading(read_endpoints, "Addresses for HTTP, comma-separated.")
    ] = (Endpoint("127.0.0.1", 8000),)
    native_listen: Annotated[
        tuple[Endpoint, ...],
        Reading(
            read_endpoints,
            "Addresses for the Handle protocol, UDP and TCP. List each address of a machine that has several: a UDP "
            "answer leaves from the address that was listened on.",
        ),
    ] = (Endpoint("127.0.0.1", 2641),)
    admin_listen: Annotated[
        tuple[Endpoint, ...],
        Reading(
            read_endpoints, "Addresses for metrics, health and administration; keep them private."
        ),
    ] = (Endpoint("127.0.0.1", 9640),)
    public_address: Annotated[
        PublicAddress | None,
        Reading(
            read_public_address,
            "What our HS_SITE tells clients to connect to: IP address, native port and HTTP port, such as "
            "203.0.113.7:2641:80; the listeners' own when empty or left out.",
        ),
    ] = None
    data_dir: Annotated[
        Path,
        Reading(
            directory,
            "Directory for keys, counters and the embedded servers' data; one running node each.",
        ),
    ] = field(default_factory=lambda: Path(".idnode").absolute())
    workers: Annotated[
        int, Reading(worker_count, "Number of worker processes; 0 means one a core.")
    ] = field(default_factory=one_worker_a_core)
    database_url: Annotated[
        str,
        Reading(
            url_of("postgresql", "postgres"),
            "Postgres to use, such as postgresql://user:password@host/idnode; empty starts an embedded one.",
        ),
    ] = ""
    database_read_url: Annotated[
        str,
        Reading(
            url_of("postgresql", "postgres"),
            "Streaming replica of that Postgres to read records from, such as postgresql://user:password@host/idnode; "
            "empty reads the primary.",
        ),
    ] = ""
    redis_url: Annotated[
        str,
        Reading(
            url_of("redis", "rediss", "unix", "redis+cluster", "rediss+cluster"),
            "Redis or Valkey to use, such as redis://host:6379/0, or some nodes of a cluster, such as "
            "redis+cluster://host:6379,host:6379; empty starts an embedded one.",
        ),
    ] = ""
    embedded_user: Annotated[
        str,
        Reading(
            account,
            "Account of the embedded servers when root starts the node; they do not run as root.",
        ),
    ] = "nobody"
    case_sensitive: Annotated[
        bool,
        Reading(
            true_or_false,
            "Whether the local part of a handle compares with regard to ASCII case; prefixes never do.",
        ),
    ] = False
    udp_max_datagrams: Annotated[
        int,
        Reading(
            whole_number(1, 64),
            "Longest UDP answer, in datagrams of 512 bytes; a longer one is left to TCP.",
        ),
    ] = 4
    udp_answers_per_second: Annotated[
        int,
        Reading(
            whole_number(0, 10_000_000),
            "UDP answers a second that one source address (an IPv6 /64) may draw from a worker; 0 means no limit.",
        ),
    ] = 1_000
    udp_answers_burst: Annotated[
        int,
        Reading(
            whole_number(1, 10_000_000),
            "UDP answers that one source address (an IPv6 /64) may draw at once, above its rate.",
        ),
    ] = 2_000
    connections_max: Annotated[
        int,
        Reading(
            whole_number(1, 1_000_000),
            "Open connections of one worker, HTTP and TCP together; more are refused.",
        ),
    ] = 10_000
    connections_per_source: Annotated[
        int,
        Reading(
            whole_number(1, 1_000_000),
            "Open connections of one worker from one source address (an IPv6 /64); raise it behind a proxy.",
        ),
    ] = 1_000
    http_header_seconds: Annotated[
        int, Reading(whole_number(1, 3_600), "Seconds in which an HTTP request must have arrived.")
    ] = 10
    idle_seconds: Annotated[
        int,
        Reading(
            whole_number(1, 86_400), "Seconds after which an idle HTTP or TCP connection is closed."
        ),
    ] = 60
    hot_entries: Annotated[
        int, Reading(whole_number(0, 100_000_000), "Ready replies that one worker keeps in memory.")
    ] = 200_000
    memory_entries: Annotated[
        int,
        Reading(
            whole_number(0, 100_000_000), "Records that one worker keeps in memory behind those."
        ),
    ] = 20_000
    server_admins: Annotated[
        tuple[str, ...],
        Reading(
            identities,
            "Administrators of this server, who may do everything: names such as 300:88.118/ADMIN, comma-separated.",
        ),
    ] = ()
    tls_certificate: Annotated[
        str,
        Reading(
            certificate,
            "Certificate chain (PEM) with which the HTTP listeners speak TLS; self-signed makes one for development, "
            "empty means plain HTTP.",
        ),
    ] = ""
    tls_key: Annotated[
        Path | None,
        Reading(
            file_path, "Private key (PEM) of that certificate; empty when the same file holds both."
        ),
    ] = None
    allow_cleartext_login: Annotated[
        bool,
        Reading(
            true_or_false,
            "Take passwords and tokens over plain HTTP from other machines too, not from this one alone; for networks "
            "that nobody else can read.",
        ),
    ] = False
    allow_weak_algorithms: Annotated[
        bool,
        Reading(
            true_or_false,
            "Take proofs made with MD5 or plain SHA-1 digests of secret keys, for clients that know nothing better.",
        ),
    ] = False
    native_profile: Annotated[
        str,
        Reading(
            one_of("auto", "handle", "login"),
            "How native clients are treated: handle (challenges), login (log in once a connection), or auto, by what "
            "each says of itself.",
        ),
    ] = "auto"
    session_seconds: Annotated[
        int,
        Reading(whole_number(60, 86_400), "Seconds after which a session that is not used ends."),
    ] = 1_800
    sealing_key: Annotated[
        Path | None,
        Reading(
            file_path,
            "File of the key that seals secret keys in the database; made in the data directory when empty. All "
            "machines on one database need the same.",
        ),
    ] = None
    reverse_types: Annotated[
        tuple[str, ...],
        Reading(
            value_types,
            "Types of the values that reverse look-up finds, comma-separated; * means all but HS_ ones, empty none.",
        ),
    ] = ("*",)

    ledger: Annotated[
        bool,
        Reading(
            true_or_false,
            "Whether each answered resolution is recorded in the audit ledger.",
        ),
    ] = True
    ledger_origin: Annotated[
        str,
        Reading(
            origin_name,
            "Name of the ledger's log, such as id.example.cn/ledger: unique in the world and never changed; empty "
            "makes one from the node's key.",
        ),
    ] = ""
    ledger_durability: Annotated[
        str,
        Reading(
            one_of("process", "group", "strict"),
            "What a power cut may cost of the ledger: process what the kernel has not written, group (default) a tenth "
            "of a second, strict nothing, for every answer waits for the disk.",
        ),
    ] = "group"
    ledger_fail: Annotated[
        str,
        Reading(
            one_of("open", "closed"),
            "When an answer cannot be recorded (a full disk): open gives it uncounted and says so in the log, closed "
            "refuses it.",
        ),
    ] = "open"
    ledger_sm2: Annotated[
        bool, Reading(true_or_false, "Sign the ledger's checkpoints with SM2 and SM3 as well.")
    ] = False
    ledger_witnesses: Annotated[
        Path | None,
        Reading(
            file_path,
            "File that names the ledger's witnesses and their quorum (C2SP tlog-policy); empty means none. The witness "
            "or group called `toplevel` is the top-level node, which alone is asked to acknowledge counts.",
        ),
    ] = None
    count_loopback: Annotated[
        bool,
        Reading(
            true_or_false,
            "Count what this machine asks itself as production; for tests, and announced in the ledger.",
        ),
    ] = False
    own_networks: Annotated[
        tuple[str, ...],
        Reading(
            networks,
            "Networks of the operator, such as 10.0.0.0/8, comma-separated: what comes from them is never production.",
        ),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Reading(
            networks,
            "Networks of proxies whose X-Forwarded-For is believed in the ledger, comma-separated.",
        ),
    ] = ()
    node_prefix: Annotated[
        str,
        Reading(secondary_prefix, "Prefix of this secondary node, such as 88.118."),
    ] = "88.118"
    sync_url: Annotated[
        str,
        Reading(
            https_url,
            "Top-level node to be in step with, such as https://top.example:9650; empty means none.",
        ),
    ] = ""
    sync_certificate: Annotated[
        Path | None,
        Reading(file_path, "Client certificate chain (PEM) that is shown to the top-level node."),
    ] = None
    sync_key: Annotated[
        Path | None,
        Reading(
            file_path, "Private key (PEM) of that certificate; empty when the same file holds both."
        ),
    ] = None
    sync_authority: Annotated[
        Path | None,
        Reading(
            file_path,
            "Authorities (PEM) that vouch for the top-level node; empty means those the machine trusts.",
        ),
    ] = None
    sync_signing_key: Annotated[
        Path | None,
        Reading(
            file_path,
            "Private key (PEM: Ed25519, RSA or SM2) that signs what is said to the top-level node; made in the data "
            "directory when empty.",
        ),
    ] = None
    sync_peer_keys: Annotated[
        Path | None,
        Reading(
            file_path,
            "Public keys (PEM, one or more) of which one must have signed each answer of the top-level node; empty "
            "means that answers are not checked.",
        ),
    ] = None
    toplevel_listen: Annotated[
        tuple[Endpoint, ...],
        Reading(
            three_endpoints,
            "Where the simulated top-level node listens that `idnode serve --toplevel` runs: HTTPS, page, Handle "
            "protocol.",
        ),
    ] = (
        Endpoint("127.0.0.1", 9650),
        Endpoint("127.0.0.1", 9660),
        Endpoint("127.0.0.1", 9641),
    )

    @property
    def seal_path(self) -> Path:
        """The file of the key that seals secrets."""
        return self.sealing_key or self.data_dir / "sealing.key"

    @property
    def announced(self) -> PublicAddress:
        """What our HS_SITE says: the public address, filled up from the first listeners.

        A listener on all addresses does not know what the world calls it; it announces the loopback address.
        """
        given = self.public_address or PublicAddress(self.native_listen[0].host, 0, 0)
        return PublicAddress(
            loopback_if_any(given.host),
            given.native_port or self.native_listen[0].port,
            given.http_port or self.http_listen[0].port,
        )
