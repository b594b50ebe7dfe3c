"""The wide run of tests/unit/test_number_writings.py: `python -m tests.bench.number_writings [NUMBERS] [SEED]`.

It reads NUMBERS (default 20) cell phone numbers of each region in every writing and prints the table; status 1 when the
same number was read as two.
"""

import random
import sys

from tests import writings


def main(count: int = 20, seed: int = 1) -> int:
    """Print the table, and whatever was read as another number."""
    every = list(writings.tried(count, random.Random(seed)))
    print(writings.table(every))
    differing = [one for one in every if one.result == "differs"]
    for one in differing:
        print(one)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
