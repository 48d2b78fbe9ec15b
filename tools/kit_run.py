#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kit_run.py - run the kit tests of a build in a way that ctest has not registered.

kit_run.py --build DIR --on BACKEND [--workers 1,4] [--wrap "COMMAND ..."]
           [--filter REGEX] [--without LABEL] [--calls NAME] [--extra "ARGUMENTS"] [--timeout SECONDS]

One run per program and number of workers, as many at once as there are cores. A failure
prints the end of the program's output and a line "FAILED: name"; the last line reads
"N passed, M failed, K skipped". A program is taken when it is registered for the backend
(for "auto": for epoll, which auto falls back to); with --calls only when its source calls
that function, with --without only when its source has no such label. Also holds what
tools/laws.py shares: the list of tests, the runner, the
reader of TAP.
"""

import argparse
import collections
import concurrent.futures
import os
import re
import shlex
import signal
import subprocess
import sys

# configurations is empty for a plain program.
Test = collections.namedtuple('Test', 'name configurations program source')
SKIPPED = 77


def read_tests(build):
    """The lines of tests.txt, which cmake/Tests.cmake writes."""
    found = []
    with open(os.path.join(build, 'tests.txt'), encoding='utf-8') as f:
        for line in f:
            if line.strip():
                name, configurations, program, source = line.rstrip('\n').split('|')
                words = [] if configurations == 'plain' else configurations.split()
                found.append(Test(name, words, os.path.join(build, 'bin', program), source))
    return found


def text_of(test):
    with open(test.source, encoding='utf-8') as f:
        return f.read()


def calls(test, name):
    return not name or re.search(r'\b' + re.escape(name) + r'\(', text_of(test)) is not None


def labels(test):
    """The words behind "test-labels:" in the source."""
    return {word for line in re.findall(r'test-labels:([^\n*]*)', text_of(test)) for word in line.split()}


def run(command, timeout, env=None):
    """(exit status or None when it hung, output). The whole process group is ended."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True,
                               env={**os.environ, **(env or {})})
    try:
        out, _ = process.communicate(timeout=timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
        status = None
    return status, out.decode(errors='replace')


def read_tap(output):
    """test name -> passed, of the lines "ok 1 - suite.name" and "not ok 2 - ..."."""
    results = {}
    for m in re.finditer(r'(?m)^(not )?ok \d+(?: -)? (\S+)(.*)$', output):
        if '# SKIP' in m.group(3).upper():
            continue
        results[re.split(r'[./:]', m.group(2))[-1]] = m.group(1) is None
    return results


def run_all(jobs, timeout, per_core=1):
    """jobs: (key, command, env); gives key -> (status, output)."""
    with concurrent.futures.ThreadPoolExecutor(per_core * os.cpu_count()) as pool:
        futures = {key: pool.submit(run, command, timeout, env) for key, command, env in jobs}
        return {key: f.result() for key, f in futures.items()}


def main():
    parser = argparse.ArgumentParser(description='Run the kit tests of a build.')
    parser.add_argument('--build', required=True)
    parser.add_argument('--on', required=True)
    parser.add_argument('--workers', default='1')
    parser.add_argument('--wrap', default='')
    parser.add_argument('--filter', default='')
    parser.add_argument('--without', default='')
    parser.add_argument('--calls', default='')
    parser.add_argument('--extra', default='')
    parser.add_argument('--timeout', type=int, default=120)
    args = parser.parse_args()

    registered = {'auto': 'epoll'}.get(args.on, args.on)
    jobs = []
    for test in read_tests(args.build):
        if not re.search(args.filter, test.name) or not calls(test, args.calls) or args.without in labels(test):
            continue
        for workers in args.workers.split(','):
            if registered + workers in test.configurations:
                jobs.append((f'{test.name}:{args.on}{workers}', shlex.split(args.wrap) + [
                    test.program, '--on=' + args.on, '--workers=' + workers]
                    + shlex.split(args.extra), None))
    counts = collections.Counter()
    for name, (status, output) in run_all(jobs, args.timeout).items():
        if status == 0:
            counts['passed'] += 1
        elif status == SKIPPED:
            counts['skipped'] += 1
        else:
            counts['failed'] += 1
            why = 'hung' if status is None else f'status {status}'
            print('\n'.join(output.split('\n')[-30:]))
            print(f'FAILED: {name} ({why})')
    print(f'{counts["passed"]} passed, {counts["failed"]} failed, {counts["skipped"]} skipped')
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
