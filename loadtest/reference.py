"""The reference server's figures: noted elsewhere, on another day, and not measured by any run of ours.

They stand beside our tables so that nobody has to look for them; what can be compared with care is processor time an
answer.  Reference: CNRI Handle.Net server, core 9.2.0, Jetty 9.4, JDK 17, 2 GiB heap, access log off (its kindest
setting); storage Berkeley DB JE or a map in memory; 100 000 handles of three values, about 250 bytes a reply; every
reply checked; medians of 5 runs of 4 s.
"""

from dataclasses import dataclass

MACHINE = (
    "2 cores of a recent Xeon, 24 GiB, kernel 6.18, loopback; server and generator share the cores"
)
DATE = "before the project's first commit of 2026-11-23; the notes give no day"


@dataclass(frozen=True, slots=True)
class Reference:
    """A row: answers a second, latencies in µs, processor time of server and generator a million answers, memory."""

    storage: str
    transport: str
    outstanding: int
    rate: int
    p50_us: int
    p99_us: int
    cpu_seconds: float
    generator_seconds: float
    rss_mb: int

    @property
    def title(self) -> str:
        """What the row is called."""
        return f"reference server, {self.storage}, {self.transport}, {self.outstanding} under way"


REFERENCES = (
    Reference("memory", "UDP", 32, 89_122, 316, 956, 15.3, 3.3, 715),
    Reference("memory", "UDP", 256, 95_353, 1_878, 6_642, 15.7, 3.2, 720),
    Reference("memory", "TCP", 32, 30_282, 976, 1_740, 30.5, 20.1, 715),
    Reference("memory", "HTTP JSON", 32, 30_388, 1_076, 2_512, 41.2, 12.4, 719),
    Reference("memory", "HTTP JSON", 256, 38_712, 5_796, 13_548, 39.1, 8.0, 722),
    Reference("JE", "UDP", 32, 81_791, 346, 1_194, 18.4, 3.6, 555),
    Reference("JE", "UDP", 256, 85_222, 1_946, 7_978, 18.5, 3.2, 560),
    Reference("JE", "TCP", 32, 34_415, 844, 1_752, 31.4, 20.0, 555),
    Reference("JE", "HTTP JSON", 32, 27_958, 1_134, 3_010, 47.9, 12.4, 558),
    Reference("JE", "HTTP JSON", 256, 36_688, 6_350, 16_108, 44.0, 7.8, 561),
)
