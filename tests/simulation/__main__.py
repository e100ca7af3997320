"""``python -m tests.simulation``: one run from one seed; exit code 0 only if every promise was kept."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from pathlib import Path

from tests.simulation.report import is_kept, told
from tests.simulation.run import Wanted, simulate
from tests.simulation.stack import a_folder
from tests.simulation.visits import MONEY_BACK, SUBSCRIBERS


def _read() -> tuple[Wanted, argparse.Namespace]:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="the same seed plans the same customers and the same blows")
    parser.add_argument("--payments", type=int, default=1000, help="stop after so many (%(default)s)")
    parser.add_argument(
        "--minutes", type=float, default=0, help="spread the customers over so long; 0: as fast as can be"
    )
    parser.add_argument("--gap", type=float, default=12, help="seconds between one blow and the next (%(default)s)")
    parser.add_argument(
        "--subscribers", type=float, default=SUBSCRIBERS, help="of all visits, for a subscription (%(default)s)"
    )
    parser.add_argument(
        "--money-back", type=float, default=MONEY_BACK, help="of all visits, whose money goes back (%(default)s)"
    )
    parser.add_argument(
        "--keep-bounds", action="store_true", help="an event that is too slow after a blow is a failure"
    )
    parser.add_argument("--keep", type=Path, help="keep the stack's data and its log in this folder")
    words = parser.parse_args()
    seed = secrets.randbelow(2**31) if words.seed is None else words.seed
    return Wanted(seed, words.payments, words.minutes, words.gap, words.subscribers, words.money_back), words


async def _run(wanted: Wanted, words: argparse.Namespace) -> bool:
    async with a_folder(words.keep) as folder:
        outcome = await simulate(wanted, folder)
    sys.stdout.write(f"{told(outcome)}\n")
    return is_kept(outcome, keep_bounds=words.keep_bounds)


def main() -> int:
    wanted, words = _read()
    sys.stderr.write(f"simulation: seed {wanted.seed}\n")
    return 0 if asyncio.run(_run(wanted, words)) else 1


if __name__ == "__main__":
    sys.exit(main())
