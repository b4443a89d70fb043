"""Where nodes are. The chain only knows the index of a region; its name is agreed here.

A requirement's mask has 32 bits, so there are at most 32 regions. Names are only ever added at the
end: words on chain and signed jobs refer to the index.
"""

REGIONS = (
    "eu-west",
    "eu-central",
    "eu-north",
    "eu-south",
    "eu-east",
    "uk",
    "us-east",
    "us-central",
    "us-west",
    "ca",
    "sa-east",
    "sa-west",
    "me",
    "af-north",
    "af-south",
    "in",
    "sg",
    "jp",
    "kr",
    "tw",
    "hk",
    "au",
    "nz",
)


def region_name(index: int) -> str:
    """The region's name; `region N` for one that this version does not know."""
    return REGIONS[index] if 0 <= index < len(REGIONS) else f"region {index}"
