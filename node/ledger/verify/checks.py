"""The checks: the one table of everything that the verifier looks at, with its rule, its exit code, and its law.

A finding is always of one check.  The tamper suite switches each of them off in turn and sees that something false then
passes; so none of them is decoration, and none can be lost unseen.
"""

from enum import Enum

PASS, PASS_WITH_GAPS, WRONG_USE, INCOMPLETE = 0, 1, 2, 3
SIGNATURE, TREE, FORK, LANE, TIME, POLICY, RECONCILIATION, CANARY = 10, 11, 12, 13, 14, 15, 16, 17

RULES = (*(f"V{number}" for number in range(1, 11)), *(f"R{number}" for number in range(1, 8)))


class Check(Enum):
    """A check: its name, whose first part is its rule, the exit code of a run that fails it, and what must hold."""

    V1_MISSING = "v1.missing", INCOMPLETE, "there is a cosigned head, and each can be read"
    V1_SIGNATURE = (
        "v1.signature",
        SIGNATURE,
        "each head is signed by the log and, where by known witnesses, rightly",
    )
    V1_SM2 = (
        "v1.sm2",
        SIGNATURE,
        "the log's SM2 lines of the newest heads are right, where its SM2 key is given",
    )
    V1_QUORUM = "v1.quorum", SIGNATURE, "the quorum of the auditor's policy cosigned each head"
    V1_GENESIS = (
        "v1.genesis",
        SIGNATURE,
        "the first leaf, and no other, names this origin and the log's key",
    )

    V2_MISSING = (
        "v2.missing",
        INCOMPLETE,
        "every tile and every bundle of entries is there and can be read",
    )
    V2_LEAF = "v2.leaf", TREE, "every leaf is canonical JSON of a known kind"
    V2_TILE = "v2.tile", TREE, "every tile has the hashes that the leaves make"
    V2_ROOT = "v2.root", TREE, "the leaves make the root of the newest cosigned head"
    V2_COPY = "v2.copy", TREE, "leaves.jsonl has the leaves, if it is there"

    V2_LISTED = (
        "v2.listed",
        INCOMPLETE,
        "every file that SHA256SUMS lists is there, and can be read",
    )
    V2_SUMS = "v2.sums", TREE, "every file that SHA256SUMS lists has its digest"
    V2_UNLISTED = (
        "v2.unlisted",
        TREE,
        "no file lies among those of an export that SHA256SUMS does not list",
    )

    V3_HEAD = "v3.head", FORK, "every other signed head is that of the same tree at its size"
    V3_REMEMBERED = "v3.remembered", FORK, "the tree begins with the one that was accepted before"

    V4_OPENED = (
        "v4.opened",
        LANE,
        "an epoch is opened once, before anything else is said of it, with a rising number",
    )
    V4_CLOSED = (
        "v4.closed",
        LANE,
        "nothing is said of an epoch that is over, and one is over before the next",
    )
    V4_LAST = "v4.last", LANE, "an epoch closes with the last record of its last block"
    V4_BLOCK = "v4.block", LANE, "the blocks of an epoch are numbered from 1 without a hole"
    V4_SEQUENCE = (
        "v4.sequence",
        LANE,
        "blocks cover the records of an epoch from 1 without a hole, as many as they count",
    )
    V4_CHAIN = "v4.chain", LANE, "each block names the hash of its lane's block before"
    V4_SPAN = "v4.span", LANE, "the blocks of an epoch tile its time"
    V4_GAP = "v4.gap", LANE, "a gap stands behind the last record before it"
    V4_RECORD = (
        "v4.record",
        LANE,
        "each record is whole, of this lane and epoch, and has its number",
    )

    V5_MISSING = "v5.missing", INCOMPLETE, "every body that is needed is there and can be read"
    V5_PRUNED = (
        "v5.pruned",
        POLICY,
        "bodies are pruned of closed days, and not before the policy in force allows it",
    )
    V5_SHA256 = "v5.sha256", TREE, "the SHA-256 of a body is that of its leaf"
    V5_SM3 = "v5.sm3", TREE, "the SM3 of a body is that of its leaf"
    V5_ROOT = "v5.root", TREE, "the root over the records of a body is that of its leaf"
    V5_SUMS = "v5.sums", TREE, "the records of a body come to the sums of its leaf, class by class"

    V6_EARLY = (
        "v6.early",
        TIME,
        "nothing is older than the last cosigned head that does not have it",
    )
    V6_LATE = "v6.late", TIME, "nothing is younger than the first cosigned head that has it"
    V6_RECORD = "v6.record", TIME, "the time of each record is inside its block"
    V6_BEACON = "v6.beacon", TIME, "each block names a cosigned head that is older than itself"
    V6_STALE = "v6.stale", TIME, "that head is at most 16 minutes older, but for gaps that say why"
    V6_DRIFT = (
        "v6.drift",
        TIME,
        "wall clock and monotonic clock agree in an epoch, or the record says that they do not",
    )

    V7_POLICY = (
        "v7.policy",
        POLICY,
        "each record has the number of the policy that was in force, given out once",
    )
    V7_BACKDATED = "v7.backdated", POLICY, "no policy is in force before it is in the log"
    V7_KEY = (
        "v7.key",
        POLICY,
        "the digest of a month's key is in the log before the month's first record, and is right",
    )
    V7_CAMPAIGN = (
        "v7.campaign",
        POLICY,
        "tests, and nothing else, belong to a campaign that is open",
    )
    V7_ANNOUNCED = "v7.announced", POLICY, "a campaign is in the log before it begins"
    V7_TESTED = (
        "v7.tested",
        POLICY,
        "nothing from the networks of an open campaign counts as production",
    )
    V7_OWN = "v7.own", POLICY, "nothing from the node's own networks counts as production"
    V7_ROBOT = "v7.robot", POLICY, "nothing by a listed robot counts as production"
    V7_LIST = "v7.list", POLICY, "a list of robots in the evidence is one that its policy names"
    V7_RATE = (
        "v7.rate",
        POLICY,
        "one network has no more production in a minute than the rate rule allows",
    )
    V7_ROW = "v7.row", POLICY, "every number of a prefix or a user agent is explained by a leaf"

    V8_DAY = (
        "v8.day",
        POLICY,
        "the records of a day come to the figures of its leaf under the rules",
    )
    V8_MISSING = (
        "v8.missing",
        POLICY,
        "every day before the last one that is closed is closed, once",
    )
    V8_LATE = "v8.late", POLICY, "no record of a day is sealed behind the leaf that closes it"
    V8_DETAIL = "v8.detail", POLICY, "the file of a day is the one that its leaf names"
    V8_REPORT = "v8.report", POLICY, "the totals of the report are the sums of its days"

    V10_MISSING = "v10.missing", INCOMPLETE, "the report can be read, if there is one"
    V10_SIGNATURE = "v10.signature", SIGNATURE, "the log has signed the report"
    V10_LOGGED = "v10.logged", FORK, "the report is the newest that the log has for its month"
    V10_VERSION = (
        "v10.version",
        FORK,
        "the reports of a month are numbered from 1, and each names the one it replaces",
    )
    V10_PREVIOUS = "v10.previous", FORK, "the report names the newest report of an earlier month"

    R1_TOTAL = (
        "r1.total",
        RECONCILIATION,
        "the running total rises by the successes of each block, exactly",
    )
    R2_DIFFERENCE = (
        "r2.difference",
        RECONCILIATION,
        "both counts of a worker agree, but for what is in flight or disclosed",
    )
    R2_LANE = "r2.lane", RECONCILIATION, "no worker said that it had counted more than its lane has"
    R2_MISSING = "r2.missing", RECONCILIATION, "every epoch of ten minutes has a snapshot"
    R3_DIFFERENCE = (
        "r3.difference",
        RECONCILIATION,
        "a scrape from outside agrees, but for its resolution",
    )
    R4_SIGNATURE = (
        "r4.signature",
        SIGNATURE,
        "the top-level node that the auditor names has signed each acknowledgement of the log",
    )
    R4_HEAD = "r4.head", FORK, "what is acknowledged is a cosigned head of this tree"
    R4_TOTAL = (
        "r4.total",
        RECONCILIATION,
        "the top-level node's figures are those of the log, exactly",
    )
    R4_TESTED = (
        "r4.tested",
        RECONCILIATION,
        "no load test is closed with more records than the log has of it",
    )
    R7_MISSING = "r7.missing", CANARY, "every canary is counted"
    R7_TWICE = "r7.twice", CANARY, "no canary is counted twice"

    def __init__(self, id_: str, code: int, law: str) -> None:
        self.id = id_
        self.code = code
        self.law = law

    @property
    def rule(self) -> str:
        """The rule that it belongs to, such as V4."""
        return self.id.partition(".")[0].upper()
