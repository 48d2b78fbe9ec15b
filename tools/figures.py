#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""figures.py - the figures that tests print about their own work, added up for the summary
page of `./dev check`. Called by tools/check/run.sh.

figures.py [--long FILE] RESULT...

Reads what ctest and the tools of a check have written (JUnit files, outputs) and prints a line
for each kind of figure that occurs in them; with --long also every single one into FILE: the
checkpoints of each function, the schedules of each scenario.
"""

import argparse
import collections
import glob
import html
import re
import sys

# A kind: what its lines look like, and how they are told in one. "key" is a name, the other
# groups are numbers, added up over all lines: a program that runs in several configurations
# has done the work in each.
Kind = collections.namedtuple('Kind', 'name pattern text')
KINDS = [
    Kind('torture', r'# (?P<key>\w+) +k = *(?P<k>\d+), .*; *(?P<runs>\d+) runs, *(?P<cut>\d+) cut short',
         '{count} functions, {k} checkpoints (k = {k_min} to {k_max}), {runs} runs, {cut} cut short'),
    Kind('explore', r'# (?P<key>\w+), \d+ delays: (?P<schedules>\d+) schedules',
         '{count} scenarios, {schedules} schedules, each complete within its bound'),
    Kind('no memory', r'# memory +(?P<key>\w+) +(?P<places>\d+) places, *(?P<runs>\d+) runs',
         '{count} functions, {places} allocations, {runs} runs with one or all of them refused'),
    Kind('failed calls', r'# calls +(?P<key>\w+) +(?P<places>\d+) places, *(?P<runs>\d+) runs',
         '{count} functions, {places} calls and completions, {runs} runs with one of them failing'),
    Kind('crash', r'# (?P<key>[^:]+): (?P<places>\d+) places, (?P<disks>\d+) (?:disks|recoveries), (?P<torn>\d+) torn',
         '{count} scenarios, {places} crash points, {disks} surviving disks looked at, {torn} torn'),
    Kind('linear', r'# (?P<key>\w+): (?P<programs>\d+) programs, (?P<runs>\d+) runs, (?P<calls>\d+) calls',
         '{count} primitives, {programs} programs, {runs} runs, {calls} calls'),
]


def read(paths):
    """kind -> [(key, numbers)], a pair for each line."""
    found = {kind.name: [] for kind in KINDS}
    for path in sorted({p for pattern in paths for p in glob.glob(pattern)}):
        with open(path, encoding='utf-8', errors='replace') as f:
            for line in f:
                if '# ' not in line:
                    continue
                for kind in KINDS:
                    m = re.search(kind.pattern, html.unescape(line))
                    if m:
                        numbers = {k: int(v) for k, v in m.groupdict().items() if k != 'key'}
                        found[kind.name].append((m.group('key'), numbers))
                        break
    return found


def told(kind, entries):
    """One kind's figures in one line."""
    words = {'count': len({key for key, _ in entries})}
    for name in entries[0][1]:
        values = [numbers[name] for _, numbers in entries]
        words.update({name: sum(values), f'{name}_min': min(values), f'{name}_max': max(values)})
    return kind.text.format(**{name: f'{value:,}' for name, value in words.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--long', help='a file for every single figure')
    parser.add_argument('results', nargs='+')
    args = parser.parse_args()
    found = read(args.results)
    for kind in KINDS:
        if found[kind.name]:
            print(f'{kind.name:<13}{told(kind, found[kind.name])}')
    if args.long:
        with open(args.long, 'w', encoding='utf-8') as f:
            for kind in KINDS:
                for key, numbers in sorted(found[kind.name], key=lambda entry: entry[0]):
                    f.write(f'{kind.name:<13}{key:<32}'
                            + ' '.join(f'{name} {value:,}' for name, value in numbers.items()) + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
