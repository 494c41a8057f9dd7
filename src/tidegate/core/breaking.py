"""Whether a release breaks what runs: by its version, or by what it says of itself. Pure."""

import re


def breaks(said: str) -> bool:
    """What the label dev.tidegate.breaking says; a text such as "config format 2" counts as yes."""
    return said.strip().lower() not in ("", "0", "false", "no")


def major_step(before: str, after: str) -> bool:
    """Whether the version's first number rises; below 1.0.0 the second (https://semver.org, items 4 and 8)."""
    numbers = [re.match(r"v?(\d+)\.(\d+)", version) for version in (before, after)]
    if None in numbers:
        return False
    (one, two), (three, four) = ((int(n[1]), int(n[2])) for n in numbers if n is not None)
    return three > one or (one == three == 0 and four > two)
