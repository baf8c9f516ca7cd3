"""Which recorded exchanges belong together, and what is different in our replies on purpose, with the reason."""

from tests.support.golden import VECTORS


def names(*beginnings: str) -> list[str]:
    """Return the vectors whose names begin so, in the order of the recording."""
    return [name for name in VECTORS if name.startswith(beginnings)]


RAW = names(
    "create_", "add_", "modify_", "delete_", "list_", "home_", "unhome_", "answer_", "verify_"
)
CONVERSATIONS = {
    "raw": RAW,
    "hdllib": names("client_hdllib_list_handles_")[1:],  # the first asks for the site record
    "idsdk": names("client_idsdk_")[1:],  # the same
    "idpointer": [name for name in names("client_idpointer_op") if "_op2_" not in name],
    "sm2": names("client_idpointer_sm2_"),
}
"""What was said on one connection each; who logs in on it stays logged in."""

FOLDED = {"body": "names are listed as they were spelled; the reference lists them in capitals"}
STAND_IN = {
    "suggested": "our newest; what stood in for a server in the recording wrote 2.10",
    "flags": "as in every answer; the stand-in echoed the request's",
    "site serial": "ours; the stand-in had none",
}
OLDER_STAND_IN = {**STAND_IN, "version": "that which the request suggests; the stand-in wrote 2.10"}
OWN_WORDS = {"text": "our own words"}
RELAYED = {"version": "that which the request suggests; the stand-in relayed what its server said"}
RELAYED_WITHOUT_ID = {**RELAYED, "session id": "echoed; the stand-in's own connection had none"}
READ_LATER = {"values": "with the time of this test in place of the recording's"}

DIFFERENT: dict[str, dict[str, str]] = {
    "list_handles_2_answer": FOLDED,
    "client_hdllib_list_handles_2": FOLDED,
    "client_idsdk_op100_rc401_flags00000000": STAND_IN | OWN_WORDS,
    "client_idsdk_op2001_rc402_flags00800000": STAND_IN,
    "client_idsdk_op200_rc1_flags10800000": STAND_IN,
    "client_idsdk_op100_rc1_flags00000000": RELAYED,
    "client_idsdk_op1_rc1_flags00000000": READ_LATER,
    "client_idsdk_op104_rc1_flags00000000": RELAYED,
    "client_idsdk_op100_rc101_flags00000000": RELAYED,
    "client_idpointer_op100_rc401_flags19000000": OLDER_STAND_IN | OWN_WORDS,
    "client_idpointer_op2001_rc402_flags10800000": OLDER_STAND_IN,
    "client_idpointer_op200_rc1_flags10800000": OLDER_STAND_IN,
    "client_idpointer_op100_rc1_flags19000000": RELAYED_WITHOUT_ID,
    "client_idpointer_op1_rc1_flags19000000": READ_LATER,
    "client_idpointer_op102_rc1_flags19000000": RELAYED_WITHOUT_ID,
    "client_idpointer_op100_rc101_flags19000000": RELAYED,
    "client_idpointer_sm2_login_0": OLDER_STAND_IN,
    "client_idpointer_sm2_login_1": OLDER_STAND_IN,
}
