#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plants.py - do the gates notice a bug? Each planted bug must turn its gates red, and each
gate must be turned red by a bug.

plants.py [--builds DIR] [--night] [--only TEXT] [--jobs N] [--list | --table] [--keep]

Reads tests/plants/NN_name.txt, each one bug:

    # What it is in the world, why it is hard to see.
    ## A worker that falls asleep overwrites a message that was just posted.
    class: lost wake-up
    gate: model model_inbox_test
    night: seeds sim_planted_test
    file: src/base/inbox.h
    - 	return tti_cas_relaxed(&in->newest, &empty, TTI_INBOX_ASLEEP);
    + 	(void)empty;

"gate:" and "night:" name a gate (GATES below), its program and perhaps arguments beyond the
gate's own; every one of them must find the bug within the gate's time, and by the gate's own
words: a sanitizer's report for a sanitizer, an assertion for the assertions. What stands
behind "night:" runs with --night only. The breaks themselves are described in breaks.py: a
bug is compiled and linked into the program, nothing else is built.

First every program runs on the sound build, with the same arguments, and must be green. With
all bugs looked at, a gate that none of them turns red has failed too, and so has a tier of
`./dev check` that has no gate and no reason for it. The last line reads "N passed, M failed".
"""

import argparse
import collections
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import sys
import time

from breaks import ROOT, Build, Edits, Mistake, run_until

TABLE = 'docs/internals/testing.md'
KIT = ['--on=sim', '--workers=2', '--timeout=20']
NOT_OK = r'^not ok '

# A gate: one way in which this tree finds bugs. `preset` is the build; `arguments` go before
# the entry's; `evidence` is what the program says when it found one; for a program that is
# `plain` a failed exit status says it as well. `wrap` runs the program, `{}` stands for it.
Gate = collections.namedtuple('Gate', 'preset arguments evidence plain seconds wrap about')


def gate(about, preset='dev', arguments=(), evidence=NOT_OK, plain=False, seconds=20, wrap=()):
    return Gate(preset, list(arguments), evidence, plain, seconds, list(wrap), about)


GATES = {
    'unit': gate('the tests beside the sources, on the simulation', arguments=KIT),
    'real': gate('the same on real drivers and threads', arguments=['--on=epoll', '--workers=4', '--timeout=20']),
    'assert': gate("the library's own assertions and laws", arguments=KIT,
                   evidence=r'assertion failed|tutti: .*: (internal|law)'),
    'torture': gate('cut short by a cancel or a deadline at every checkpoint', arguments=KIT, seconds=60),
    'explore': gate('every schedule within a bound', arguments=KIT, seconds=60),
    'seeds': gate('random schedules and faults, a thousand seeds', arguments=KIT, seconds=60),
    'replay': gate('the same seed gives the same run in another process', plain=True, seconds=60,
                   wrap=['env', 'SEEDS=5', 'tools/sim_repro.sh', '{}'], evidence=r'differ:|sim_repro: no '),
    'oom': gate('each allocation refused in turn', arguments=KIT, seconds=60),
    'calls': gate('each system call and completion failing in turn', arguments=KIT, seconds=60),
    'crash': gate('power cuts at every change of a disk', arguments=KIT, seconds=60),
    'linear': gate('generated programs against a sequential model', arguments=KIT, seconds=60),
    'model': gate('every interleaving and every allowed reordering', plain=True, seconds=60, evidence=r'^\s*FAILED|FAILED$'),
    'asan': gate('addresses, leaks, undefined behaviour', preset='asan', arguments=KIT,
                 evidence=r'ERROR: (Address|Leak)Sanitizer|runtime error:'),
    'tsan': gate('data races', preset='tsan', arguments=['--on=epoll', '--workers=4', '--timeout=20'],
                 wrap=['tools/no_aslr.sh', '{}'], evidence=r'WARNING: ThreadSanitizer', seconds=60),
    'msan': gate('reads of what was never written', preset='msan', arguments=['--on=epoll', '--workers=2', '--timeout=20'],
                 evidence=r'WARNING: MemorySanitizer', seconds=60),
    'limits': gate('few descriptors, threads, little memory, closed streams', seconds=60,
                   arguments=['--on=epoll', '--workers=2', '--timeout=30']),
    'fuzz': gate('corpora of hostile input, with oracles', plain=True, evidence=r'ERROR: |fuzz: failed|SUMMARY'),
    'powerloss': gate('what was acknowledged survives a power loss', plain=True, seconds=60, evidence=r'failed: ',
                      wrap=['env', 'TT_POWERLOSS_POINTS=12', '{}']),
    'seccomp': gate('where io_uring is refused', arguments=['--on=auto', '--workers=1', '--timeout=20'],
                    wrap=['build-of:dev/bin/deny-uring', 'EPERM', '{}']),
}

# The tiers of `./dev check` and the gates by which this file checks them; or why it does not.
TIERS = {
    'unit': 'unit real assert torture explore oom calls crash',
    'asan': 'asan',
    'tsan': 'tsan',
    'model': 'model',
    'linear': 'linear',
    'seeds': 'seeds',
    'replay': 'replay',
    'durability': 'powerloss',
    'fuzz': 'fuzz',
    'limits': 'limits',
    'msan': 'msan',
    'seccomp': 'seccomp',
}
EXEMPT = {
    'deps': 'installs packages',
    'build': 'the compiler judges: a bug here has to compile without a warning',
    'tidy': 'tidy --self-test breaks each of its rules itself',
    'clang': 'the programs of unit, from another compiler',
    'laws': 'breaks the twelve laws itself',
    'promises': 'breaks each promise itself',
    'plants': 'this',
    'aarch64': 'the programs of unit, for another processor',
    'memcheck': 'what asan and msan look for, through another tool',
    'guests': 'the programs of unit, on other kernels',
    'coverage': 'measures the tests, and not the library',
    'up': 'the commands of ./dev',
    'gateway': 'the program as its users see it; its parts are under unit and durability',
}

TSAN = {'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=0'}
ASAN = {'ASAN_OPTIONS': 'detect_stack_use_after_return=0', 'UBSAN_OPTIONS': 'print_stacktrace=1'}


# ---------------------------------------------------------------- reading

# One way to find a bug: gate, program, arguments.
Hunt = collections.namedtuple('Hunt', 'gate program arguments night')


class Plant:
    def __init__(self, path):
        self.name = os.path.splitext(os.path.basename(path))[0]
        self.source = os.path.relpath(path, ROOT)
        self.edits = Edits(self.source)
        self.claim = self.kind = ''
        self.hunts = []

    @property
    def number(self):
        return self.name.split('_')[0]


def read_hunt(plant, key, value):
    words = shlex.split(value)
    if len(words) < 2 or words[0] not in GATES:
        raise Mistake(f'{plant.source}: not "{key}: GATE PROGRAM [arguments]" with one of '
                      f'{", ".join(GATES)}: {value}')
    return Hunt(words[0], words[1], words[2:], key == 'night')


def read_line(plant, line):
    key, _, value = line.partition(':')
    if line[0] in '-+':
        plant.edits.add(line)
    elif line.startswith('## '):
        plant.claim = line[3:].strip()
    elif key == 'class':
        plant.kind = value.strip()
    elif key in ('gate', 'night'):
        plant.hunts.append(read_hunt(plant, key, value))
    elif key == 'file':
        plant.edits.begin(value.strip())
    elif not line.startswith('# ') and line != '#':
        raise Mistake(f'{plant.source}: not understood: {line}')


def read_plant(path):
    plant = Plant(path)
    with open(path, encoding='utf-8') as f:
        for line in f:
            if line.strip():
                read_line(plant, line.rstrip('\n'))
    if not (plant.claim and plant.kind and plant.hunts and plant.edits.is_whole()):
        raise Mistake(f'{plant.source}: needs "## claim", "class:", a gate, "file:" and lines to replace')
    return plant


# ---------------------------------------------------------------- hunting

# Presets that clang builds: where there is none, what needs it is skipped.
BY_CLANG = {'tsan', 'msan'}


def can_hunt(hunt):
    return GATES[hunt.gate].preset not in BY_CLANG or shutil.which('clang') is not None


class Builds:
    def __init__(self, folder):
        self.folder = folder
        self.made = {}

    def make(self, hunts, jobs):
        programs = collections.defaultdict(set)
        for hunt in hunts:
            programs[GATES[hunt.gate].preset].add(f'bin/{hunt.program}')
            for word in GATES[hunt.gate].wrap:
                if word.startswith('build-of:'):
                    preset, _, target = word[len('build-of:'):].partition('/')
                    programs[preset].add(target)
        for preset in sorted(programs):
            self.made[preset] = Build(os.path.join(self.folder, preset), preset)
            self.made[preset].make(programs[preset], jobs)

    def of(self, hunt):
        return self.made[GATES[hunt.gate].preset]

    def sound(self, hunt):
        return os.path.join(self.of(hunt).folder, 'bin', hunt.program)

    def command(self, hunt, program):
        g = GATES[hunt.gate]
        own = [program] + g.arguments + hunt.arguments
        words = []
        for word in g.wrap or ['{}']:
            if word == '{}':
                words += own
            elif word.startswith('build-of:'):
                words.append(os.path.join(self.folder, word[len('build-of:'):]))
            else:
                words.append(word)
        return words


def run_hunt(builds, hunt, program):
    """(outcome, did this gate find something)."""
    g = GATES[hunt.gate]
    outcome = run_until(builds.command(hunt, program), g.evidence, g.seconds, {**ASAN, **TSAN})
    red = bool(outcome.found)
    if g.plain or g.evidence == NOT_OK:
        red = red or outcome.status not in (0, 77)
    if outcome.status is None and not outcome.found:
        outcome.found = f'no end within {g.seconds} s'
    elif red and not outcome.found:
        outcome.found = f'ended with status {outcome.status}'
    return outcome, red


def judge_sound(builds, hunt):
    """None, or why the sound program does not count as green."""
    outcome, red = run_hunt(builds, hunt, builds.sound(hunt))
    if red or outcome.status != 0:
        return f'is not green as the code stands: {outcome.found or outcome.status}\n{outcome.output[-1500:]}'
    if not GATES[hunt.gate].plain and not re.search(r'(?m)^ok (?!.*# SKIP)', outcome.output):
        return f'ran no test: {" ".join(outcome.output.split())[:200]}'
    return None


def judge_plant(builds, plant, hunts, work, say):
    """The hunts that found it, and the complaints about the others."""
    found, complaints = [], []
    for hunt in hunts:
        overlay = os.path.join(work, plant.name)
        program = builds.of(hunt).link(hunt.program, plant.edits, overlay)
        outcome, red = run_hunt(builds, hunt, program)
        if red:
            found.append((hunt, outcome))
            say(f'{plant.name:<34} {hunt.gate:<9} {outcome.seconds:6.2f} s  {outcome.found[:110]}')
        else:
            complaints.append(f'{hunt.gate} ({hunt.program}) does not find it: '
                              f'{outcome.found or "green"} after {outcome.seconds:.1f} s\n{outcome.output[-800:]}')
    return found, complaints


# ---------------------------------------------------------------- the whole

def tier_complaints():
    """Each tier of run.sh has a gate here, or a reason why it has none."""
    with open(os.path.join(ROOT, 'tools/check/run.sh'), encoding='utf-8') as f:
        tiers = re.search(r"(?m)^tiers='([^']*)'", f.read()).group(1).split()
    complaints = [f'tier {t} has no gate in tools/plants.py, and no reason for it' for t in tiers
                  if t not in TIERS and t not in EXEMPT]
    named = {g for gates in TIERS.values() for g in gates.split()}
    complaints += [f'{g} belongs to no tier' for g in GATES if g not in named]
    complaints += [f'there is no gate {g}' for g in named if g not in GATES]
    return complaints


def gate_complaints(plants, night):
    turned = {h.gate for p in plants for h in p.hunts if night or not h.night}
    at_night = {h.gate for p in plants for h in p.hunts}
    return [f'no bug turns the gate {g} red' for g in GATES if g not in (turned if night else at_night)]


def table(plants):
    lines = ['| bug | class | found by |', '|---|---|---|']
    for p in plants:
        gates = ', '.join(dict.fromkeys(h.gate for h in p.hunts))
        lines.append(f'| {int(p.number)} {p.claim} | {p.kind} | {gates} |')
    return '\n'.join(lines)


def table_complaints(plants):
    with open(os.path.join(ROOT, TABLE), encoding='utf-8') as f:
        if table(plants) not in f.read():
            return [f'{TABLE} has another table; plants.py --table prints this one']
    return []


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def count(self, name, complaints):
        if complaints:
            self.failed += 1
            print(f'FAILED: {name}')
            for complaint in complaints:
                print(f'    {complaint}')
        else:
            self.passed += 1
        sys.stdout.flush()


def say(text):
    print(text, flush=True)


def hunt_all(args, plants, tally):
    due = {p.name: [h for h in p.hunts if args.night or not h.night] for p in plants}
    wanted = {name: [h for h in hunts if can_hunt(h)] for name, hunts in due.items()}
    hunts = [h for p in plants for h in wanted[p.name]]
    tally.skipped = sum(len(all_of) for all_of in due.values()) - len(hunts)
    if tally.skipped:
        say(f'note: no clang here: {tally.skipped} ways to find a bug are left out')
    builds = Builds(args.builds)
    began = time.monotonic()
    builds.make(hunts, args.jobs)
    say(f'built in {time.monotonic() - began:.0f} s')
    work = os.path.join(args.builds, 'plants')
    shutil.rmtree(work, ignore_errors=True)
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        same = {(h.gate, h.program, *h.arguments): h for h in hunts}
        for h, complaint in zip(same.values(), pool.map(lambda h: judge_sound(builds, h), same.values())):
            tally.count(f'sound: {h.gate} {h.program} {" ".join(h.arguments)}', [complaint] if complaint else [])

        def judge(plant):
            try:
                return judge_plant(builds, plant, wanted[plant.name], work, say)
            except Mistake as mistake:
                return [], [str(mistake)]

        slowest = None
        looked_at = [p for p in plants if wanted[p.name]]
        for plant, (found, complaints) in zip(looked_at, pool.map(judge, looked_at)):
            tally.count(plant.name, complaints)
            for hunt, outcome in found:
                if slowest is None or outcome.seconds > slowest[0]:
                    slowest = (outcome.seconds, plant.name, hunt.gate)
    if not args.keep:
        shutil.rmtree(work, ignore_errors=True)
    if slowest:
        say(f'note: {len(looked_at)} planted bugs, found in {len(hunts)} ways by '
            f'{len({h.gate for h in hunts})} gates; slowest {slowest[0]:.1f} s ({slowest[1]} by {slowest[2]})')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--builds', default=os.path.join(ROOT, 'build'), help='where the builds of the presets are')
    parser.add_argument('--night', action='store_true')
    parser.add_argument('--only', default='', help='bugs whose name or gates contain it')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--table', action='store_true')
    parser.add_argument('--keep', action='store_true', help='keep the broken programs')
    args = parser.parse_args()

    every = [read_plant(path) for path in sorted(glob.glob(os.path.join(ROOT, 'tests/plants/*.txt')))]
    plants = [p for p in every if args.only in p.name + ' ' + ' '.join(h.gate for h in p.hunts)]
    if args.list:
        for p in plants:
            print(f'{p.name}: {p.claim}')
        return 0
    if args.table:
        print(table(plants))
        return 0
    tally = Tally()
    hunt_all(args, plants, tally)
    if not args.only:
        tally.count('gates', gate_complaints(every, args.night))
        tally.count('tiers', tier_complaints())
        tally.count('table', table_complaints(every))
    print(f'{tally.passed} passed, {tally.failed} failed, {tally.skipped} skipped')
    return 1 if tally.failed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Mistake as mistake:
        print(f'plants.py: {mistake}', file=sys.stderr)
        sys.exit(2)
