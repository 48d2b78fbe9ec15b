#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""promises.py - a promise counts only if breaking its code makes its test fail.

promises.py [--builds DIR] [--jobs N] [--only TEXT] [--part I/N] [--list] [--table]

Reads tests/promises/*.txt, where a promise is

    ## A cancelled waiter wastes nothing.
    test: pool_test pool.cancelled_waiter_wastes_nothing
    file: src/sync/pool.c
    - 	if (item != NULL)
    -		give_back(item);
    + 	(void)item;

First each named test must pass as the code stands; then, for each promise alone, the lines
behind "-" are replaced by those behind "+" (see breaks.py), the test is built again and must
fail: by an assertion, a crash or a hang. What does not compile is a mistake of the file here;
warnings are not. "on: epoll --workers=4" runs the test there instead of on the simulation with
two workers, "on: plain" a program without options by its exit status.

--part 0/3 takes every third promise, from the first; that the lines of all are where they were is
looked at even so.

The sound programs are those of the preset dev in DIR (build/). Prints "N passed, M failed".
"""

import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import sys

from breaks import ROOT, Build, Edits, Mistake, run_until

TEST_SECONDS = 10
RUN_SECONDS = 60


class Promise:
    def __init__(self, source, line, text):
        self.source, self.line, self.text = source, line, text
        self.program = self.test = ''
        self.on = ['--on=sim', '--workers=2']
        self.edits = Edits(self.where)

    @property
    def where(self):
        return f'{self.source}:{self.line}'


# ---------------------------------------------------------------- reading

def read_line(promise, number, line):
    key, _, value = line.partition(':')
    value = value.strip()
    if line[0] in '-+':
        promise.edits.add(line)
    elif key == 'test':
        promise.program, promise.test = value.split()
    elif key == 'file':
        promise.edits.begin(value)
    elif key == 'on':
        backend, *more = shlex.split(value)
        promise.on = [f'--on={backend}'] + more
    else:
        raise Mistake(f'{promise.source}:{number}: not understood: {line}')


def read_promises(path):
    promises = []
    source = os.path.relpath(path, ROOT)
    with open(path, encoding='utf-8') as f:
        for number, line in enumerate(f, 1):
            line = line.rstrip('\n')
            if line.startswith('## '):
                promises.append(Promise(source, number, line[3:].strip()))
            elif line.strip() and not line.startswith('# ') and line != '#':
                if not promises:
                    raise Mistake(f'{source}:{number}: before the first "## promise"')
                read_line(promises[-1], number, line)
    for p in promises:
        if not (p.program and p.edits.is_whole()):
            raise Mistake(f'{p.where}: needs "test:", "file:" and lines to replace')
    return promises


# ---------------------------------------------------------------- judging

def check(promise, program):
    """'passed', 'failed', or what kept the test from running."""
    plain = promise.on[0] == '--on=plain'
    command = [program] if plain else [program, *promise.on, f'--only={promise.test}', f'--timeout={TEST_SECONDS}']
    outcome = run_until(command, r'^not ok ', RUN_SECONDS)
    ran = re.search(r'(?m)^ok (?!.*# SKIP)', outcome.output)
    if outcome.found or outcome.status is None or (outcome.status not in (0, 77) and not ran):
        return 'failed'
    if plain or ran:
        return 'passed'
    return 'it did not run: ' + ' '.join(outcome.output.split())[:200]


def judge(build, work, number, promise):
    """None, or why the promise does not count."""
    overlay = os.path.join(work, str(number))
    try:
        state = check(promise, os.path.join(build.folder, 'bin', promise.program))
        if state != 'passed':
            return f'as the code stands: {state}'
        state = check(promise, build.link(promise.program, promise.edits, overlay))
    except Mistake as mistake:
        return str(mistake)
    finally:
        shutil.rmtree(overlay, ignore_errors=True)
    if state == 'passed':
        return f'{promise.test} passes with the promise broken'
    return None if state == 'failed' else state


def table(promises):
    print('| promise | test | broken in |\n|---|---|---|')
    for p in promises:
        files = ', '.join(f'`{path}`' for path in p.edits.files())
        print(f'| {p.text} | `{p.test}` | {files} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--builds', default=os.path.join(ROOT, 'build'), help='where the builds of the presets are')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--only', default='')
    parser.add_argument('--part', default='0/1')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--table', action='store_true')
    args = parser.parse_args()

    promises = [p for path in sorted(glob.glob(os.path.join(ROOT, 'tests/promises/*.txt')))
                for p in read_promises(path)]
    promises = [p for p in promises if args.only in f'{p.where} {p.text} {p.test}']
    if args.list:
        for p in promises:
            print(f'{p.where}: {p.text}')
        return 0
    if args.table:
        table(promises)
        return 0
    for p in promises:
        p.edits.texts()
    part, parts = (int(n) for n in args.part.split('/'))
    promises = promises[part::parts]
    build = Build(os.path.join(args.builds, 'dev'), 'dev', ['-Wno-error'])
    build.make([f'bin/{p.program}' for p in promises], args.jobs)
    work = os.path.join(args.builds, 'promises')
    shutil.rmtree(work, ignore_errors=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        complaints = pool.map(lambda job: judge(build, work, *job), enumerate(promises))
        for promise, complaint in zip(promises, complaints):
            failed += complaint is not None
            if complaint is not None:
                print(f'FAILED: {promise.where}: {promise.text}\n    {complaint}', flush=True)
    print(f'{len(promises) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Mistake as mistake:
        print(f'promises.py: {mistake}', file=sys.stderr)
        sys.exit(2)
