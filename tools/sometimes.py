#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""sometimes.py - did everything happen that the library says happens sometimes?

sometimes.py FILE

FILE is what tests wrote that ran with TUTTI_SOMETIMES=FILE: lines "driver<TAB>times<TAB>place<TAB>claim".
The claims are those of TTI_SOMETIMES(condition, "claim") under src/. Each must have been true in a
simulated run: what only real workers reach, nobody can repeat by a seed. Prints each claim with its
count, the rarest first; a claim that nothing made true is a line "FAILED: ...". Last line:
"N passed, M failed".
"""

import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
CLAIM = re.compile(r'\bTTI_SOMETIMES\(.*?,\s*"((?:[^"\\]|\\.)*)"\s*\);', re.S)
RAREST = 5      # so many are named in the note


def claims():
    """claim -> [path:line]"""
    found = collections.defaultdict(list)
    for path in sorted((ROOT / 'src').rglob('*.[ch]')):
        text = path.read_text(encoding='utf-8')
        if path.name.startswith('sometimes') and path.parent.name == 'base':
            continue
        for m in CLAIM.finditer(text):
            line = text.count('\n', 0, m.start()) + 1
            found[m.group(1)].append(f'{path.relative_to(ROOT)}:{line}')
    return found


def counts(path):
    """claim -> times in simulated runs, times in others"""
    simulated, other = collections.Counter(), collections.Counter()
    with open(path, encoding='utf-8', errors='replace') as f:
        for number, line in enumerate(f, 1):
            words = line.rstrip('\n').split('\t')
            if len(words) != 4 or not words[1].isdigit():
                raise SystemExit(f'{path}:{number}: not "driver, times, place, claim": {line!r}')
            (other if words[0] == 'real' else simulated)[words[3]] += int(words[1])
    return simulated, other


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    wanted = claims()
    simulated, other = counts(sys.argv[1])
    never = [c for c in wanted if simulated[c] == 0]
    for claim in sorted(wanted, key=lambda c: (simulated[c], c)):
        print(f'{simulated[claim]:9} simulated, {other[claim]:9} real  {claim} ({", ".join(wanted[claim])})')
    for claim in never:
        print(f'FAILED: never in a simulation: "{claim}" ({wanted[claim][0]})')
    seen = sorted((simulated[c], c) for c in wanted if c not in never)
    if seen:
        rare = '; '.join(f'{c} ({n})' for n, c in seen[:RAREST])
        print(f'note: {len(seen)} of {len(wanted)} things that happen sometimes did; the rarest: {rare}')
    print(f'{len(wanted) - len(never)} passed, {len(never)} failed')
    return 1 if never or not wanted else 0


if __name__ == '__main__':
    sys.exit(main())
