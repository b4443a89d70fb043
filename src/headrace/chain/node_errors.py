"""What a node means when it does not take a transaction, by the words that nodes use.

JSON-RPC has no codes for it: geth, anvil (alloy), reth, Erigon, Nethermind and Besu each word it
their own way, and providers pass the words on.
"""

from enum import Enum, auto


class Answer(Enum):
    """Why a transaction was not taken, as far as it matters for what to do next."""

    KNOWN = auto()  # it is in the pool already
    NONCE_USED = auto()  # a transaction with its nonce is in a block: ours, or a stranger's
    NONCE_GAP = auto()  # an earlier one of the key is missing
    REPLACES = auto()  # another with its nonce is in the pool, and it doesn't offer enough more
    UNDERPRICED = auto()  # the pool's floor is higher
    BELOW_BASE_FEE = auto()  # the base fee has risen above it
    NO_MONEY = auto()  # the account can't pay for it
    WRONG_CHAIN = auto()  # the node serves another chain
    GAS_TOO_LOW = auto()  # less than its data alone costs: it can never be mined
    GAS_TOO_HIGH = auto()  # more than a block holds: it can never be mined
    POOL_FULL = auto()  # there is no place now
    OTHER = auto()


# The first row with words in the message decides: the narrower ones stand first.
_WORDS: tuple[tuple[Answer, tuple[str, ...]], ...] = (
    (
        Answer.KNOWN,
        (
            "already known",
            "already imported",
            "known transaction",
            "alreadyknown",
            "already in mempool",
            "already exists in the pool",
            "transaction already in pool",
        ),
    ),
    (
        Answer.NONCE_USED,
        ("nonce too low", "nonce is too low", "oldnonce", "nonce too small", "invalid nonce"),
    ),
    (
        Answer.NONCE_GAP,
        ("nonce too high", "nonce is too high", "nonce gap", "nonce too far", "noncegap"),
    ),
    (
        Answer.REPLACES,
        (
            "replacement transaction underpriced",
            "replacement fee too low",
            "could not replace existing",
            "replacement not allowed",
            "replacementnotallowed",
            "feetoolowtocompete",
            "gas price too low to replace",
        ),
    ),
    (Answer.UNDERPRICED, ("underpriced", "fee too low", "feetoolow")),
    (
        Answer.BELOW_BASE_FEE,
        (
            "less than block base fee",
            "less than the block base fee",
            "lower than the block base fee",
            "below the base fee",
            "gas price below",
            "gasprice below",
            "lower than the current base fee",
            "feecap below",
        ),
    ),
    (
        Answer.NO_MONEY,
        ("insufficient funds", "insufficientfunds", "upfront cost exceeds", "insufficient balance"),
    ),
    (
        Answer.WRONG_CHAIN,
        ("invalid chain id", "wrong chain", "invalid sender", "chain id does not match", "chainid"),
    ),
    (
        Answer.GAS_TOO_HIGH,
        (
            "intrinsic gas too high",
            "exceeds block gas limit",
            "exceeds the block gas",
            "gas limit too high",
            "gas uint64",
        ),
    ),
    (Answer.GAS_TOO_LOW, ("intrinsic gas too low", "gas floor", "intrinsic gas")),
    (
        Answer.POOL_FULL,
        (
            "txpool is full",
            "pool is full",
            "pool limit exceeded",
            "account limit exceeded",
            "future transaction",
            "in-flight transaction limit",
        ),
    ),
)
# What is shown of a text that a stranger wrote: one line, at most so long.
MOST_CHARACTERS = 200


def classify(message: str) -> Answer:
    """What a node's complaint about eth_sendRawTransaction means."""
    lowered = message.lower()
    for answer, words in _WORDS:
        if any(word in lowered for word in words):
            return answer
    return Answer.OTHER


def shown(text: str) -> str:
    """`text` as it may stand in a record or a log: one printable line of bounded length."""
    line = "".join(
        letter if letter.isprintable() else " " for letter in text[: 2 * MOST_CHARACTERS]
    )
    return line if len(line) <= MOST_CHARACTERS else line[: MOST_CHARACTERS - 1] + "…"
