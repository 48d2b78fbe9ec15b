#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns the raw readings of compare/run-all (--raw) into the table of bench/README.md.

  bench/table.py bench/results/2026-11-24.tsv

One row a bench: our median, and each peer's as a ratio to ours in the same run. For times and
bytes a ratio above 1 means that the peer needs more; for rates, that it does more.
"""
import collections
import statistics
import sys

OURS = 'tutti'
MORE_IS_BETTER = {'msg/s', 'req/s'}


def read(path):
    """{(bench, unit): {peer: median}}, in the order of the file."""
    values = collections.OrderedDict()
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            bench, peer, value, unit = line.rstrip('\n').split('\t')
            values.setdefault((bench, unit), {}).setdefault(peer, []).append(float(value))
    return {key: {peer: statistics.median(v) for peer, v in peers.items()} for key, peers in values.items()}


def number(value):
    if value >= 1e6:
        return f'{value / 1e6:.1f} M'
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}'


def main():
    if len(sys.argv) != 2:
        sys.exit('usage: table.py RAW.tsv')
    print('| bench | unit | tutti | peers, as ratios to it |')
    print('|---|---|---|---|')
    for (bench, unit), peers in read(sys.argv[1]).items():
        if OURS not in peers or peers[OURS] == 0:
            continue
        ours = peers.pop(OURS)
        better = max if unit in MORE_IS_BETTER else min
        best = better(peers.values()) if peers else None
        cells = ', '.join(f'{"**" if v == best else ""}{p} {v / ours:.2f}{"**" if v == best else ""}'
                          for p, v in sorted(peers.items(), key=lambda item: item[1]))
        print(f'| {bench} | {unit} | {number(ours)} | {cells} |')


main()
