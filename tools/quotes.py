#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""quotes.py - tests/promises and tests/plants quote lines of the sources: each must still be there, once.

Compiles nothing, so that whoever changed a line hears of it before the tiers that break it do. Last
line: "N passed, M failed".
"""

import glob
import os
import sys

import plants
import promises
from breaks import ROOT, Mistake


def breaks():
    """The edits of every promise and every planted bug."""
    for path in sorted(glob.glob(os.path.join(ROOT, 'tests/promises/*.txt'))):
        yield from (promise.edits for promise in promises.read_promises(path))
    for path in sorted(glob.glob(os.path.join(ROOT, 'tests/plants/*.txt'))):
        yield plants.read_plant(path).edits


def main():
    passed = failed = 0
    for edits in breaks():
        try:
            edits.texts()
            passed += 1
        except (Mistake, OSError) as why:
            failed += 1
            print(f'FAILED: {why}')
    print(f'{passed} passed, {failed} failed')
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Mistake as mistake:
        print(f'FAILED: {mistake}\n0 passed, 1 failed')
        sys.exit(1)
