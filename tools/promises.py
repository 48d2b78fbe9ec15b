#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""promises.py - a promise counts only if breaking its code makes its test fail.

promises.py [--jobs N] [--only TEXT] [--list] [--table]

Reads tests/promises/*.txt, where a promise is

    ## A cancelled waiter wastes nothing.
    test: pool_test pool.cancelled_waiter_wastes_nothing
    file: src/sync/pool.c
    - 	if (item != NULL)
    -		give_back(item);
    + 	(void)item;

First each named test must pass as the code stands; then, for each promise alone, the lines
behind "-" are replaced by those behind "+", the test is built again and must fail (an
assertion, a crash, a hang and a compiler warning that became an error do not count as the
same: the last one is a mistake of the file here). A "-" text must occur exactly once;
leading blanks do not matter. "on: epoll --workers=4" runs the test there instead of on the
simulation with two workers, "on: plain" a program without options by its exit status; several pairs of "file:" and its lines make one break.

All of it happens in copies of the tree under build/promises. Prints "N passed, M failed".
"""

import argparse
import concurrent.futures
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, 'build', 'promises')
TEST_SECONDS = 10
RUN_SECONDS = 60


class Promise:
    def __init__(self, source, line, text):
        self.source, self.line, self.text = source, line, text
        self.program = self.test = ''
        self.on = ['--on=sim', '--workers=2']
        self.edits = []     # [file, old lines, new lines]

    @property
    def where(self):
        return f'{self.source}:{self.line}'


class Mistake(Exception):
    pass


# ---------------------------------------------------------------- reading

def add_edit_line(promise, line):
    if not promise.edits:
        raise Mistake(f'{promise.where}: lines to replace before "file:"')
    promise.edits[-1][1 if line[0] == '-' else 2].append(line[1:].strip())


def read_line(promise, number, line):
    key, _, value = line.partition(':')
    value = value.strip()
    if line[0] in '-+':
        add_edit_line(promise, line)
    elif key == 'test':
        promise.program, promise.test = value.split()
    elif key == 'file':
        promise.edits.append([value, [], []])
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
        if not (p.program and p.edits and all(old for _, old, _ in p.edits)):
            raise Mistake(f'{p.where}: needs "test:", "file:" and lines to replace')
    return promises


# ---------------------------------------------------------------- breaking

def replaced(promise, text, path, old, new):
    """text with the lines `old` replaced, compared without their leading blanks."""
    lines = text.split('\n')
    found = [i for i in range(len(lines) - len(old) + 1)
             if all(lines[i + k].strip() == old[k] for k in range(len(old)))]
    if len(found) != 1:
        raise Mistake(f'{promise.where}: "{old[0]}" is {len(found)} times in {path}, not once')
    i = found[0]
    indent = re.match(r'\s*', lines[i]).group()
    return '\n'.join(lines[:i] + [indent + l for l in new] + lines[i + len(old):])


def broken_files(promise):
    """path -> text of the files with this promise broken."""
    texts = {}
    for path, old, new in promise.edits:
        if path not in texts:
            with open(os.path.join(ROOT, path), encoding='utf-8') as f:
                texts[path] = f.read()
        texts[path] = replaced(promise, texts[path], path, old, new)
    return texts


# ---------------------------------------------------------------- a copy of the tree

class Copy:
    """A tree of its own and its build. Files are written only when their text changes, so
    that a build compiles what a promise touches and nothing else."""

    def __init__(self, number):
        self.tree = os.path.join(WORK, f'tree-{number}')
        self.build = os.path.join(WORK, f'build-{number}')
        self.touched = set()

    def write(self, path, text):
        target = os.path.join(self.tree, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.exists(target):
            with open(target, encoding='utf-8', errors='surrogateescape') as f:
                if f.read() == text:
                    return
        with open(target, 'w', encoding='utf-8', errors='surrogateescape') as f:
            f.write(text)

    def refresh(self):
        names = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                               cwd=ROOT, capture_output=True, check=True).stdout.decode().split('\0')
        wanted = {n for n in names if n and os.path.isfile(os.path.join(ROOT, n))}
        for path in wanted:
            with open(os.path.join(ROOT, path), encoding='utf-8', errors='surrogateescape') as f:
                self.write(path, f.read())
            shutil.copymode(os.path.join(ROOT, path), os.path.join(self.tree, path))
        for folder, _, files in os.walk(self.tree):
            for name in files:
                path = os.path.relpath(os.path.join(folder, name), self.tree)
                if path not in wanted:
                    os.unlink(os.path.join(folder, name))
        run(['cmake', '-S', self.tree, '-B', self.build, '-G', 'Ninja', '-DCMAKE_BUILD_TYPE=Debug',
             '-DCMAKE_C_FLAGS_DEBUG=-O1 -g', '-DTT_VERIFY=ON', '-DTT_BUILD_SHARED=OFF'])

    def make(self, programs):
        return run(['ninja', '-C', self.build, '-j1', *sorted(set(programs))], check=False)

    def check(self, promise):
        """'passed', 'failed', or what kept the test from running."""
        command = [os.path.join(self.build, 'bin', promise.program), *promise.on,
                   f'--only={promise.test}', f'--timeout={TEST_SECONDS}']
        plain = promise.on[0] == '--on=plain'
        try:
            out, failed = run_until_failure(command[:1] if plain else command)
        except FileNotFoundError:
            return 'there is no such program'
        if failed:
            return 'failed'
        if plain:
            return 'passed'
        if not re.search(r'(?m)^ok (?!.*# SKIP)', out):
            return 'it did not run: ' + ' '.join(out.split())[:200]
        return 'passed'

    def restore(self):
        for path in self.touched:
            with open(os.path.join(ROOT, path), encoding='utf-8') as f:
                self.write(path, f.read())
        self.touched = set()

    def judge(self, promise):
        """None, or why the promise does not count."""
        texts = broken_files(promise)
        self.restore()
        for path, text in texts.items():
            self.write(path, text)
        self.touched = set(texts)
        built = self.make([promise.program])
        if built.returncode != 0:
            return 'the break does not compile:\n' + built.stdout.decode(errors='replace')[-1500:]
        state = self.check(promise)
        if state == 'passed':
            return f'{promise.test} passes with the promise broken'
        return None if state == 'failed' else state


def run_until_failure(command):
    """(output, did it fail): ends at the first "not ok", since a broken library may hang."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, errors='replace',
                               start_new_session=True)
    timer = threading.Timer(RUN_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
    timer.start()
    out, failed = '', False
    try:
        for line in process.stdout:
            out += line
            if line.startswith('not ok '):
                failed = True
                os.killpg(process.pid, signal.SIGKILL)
                break
        process.stdout.close()
        status = process.wait()
    finally:
        timer.cancel()
    return out, failed or (status not in (0, 77) and '\nok ' not in '\n' + out) or status == -signal.SIGKILL


def run(command, check=True):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False)
    if check and result.returncode != 0:
        sys.stdout.write(result.stdout.decode(errors='replace')[-3000:])
        raise Mistake(f'failed: {shlex.join(command)}')
    return result


# ---------------------------------------------------------------- the whole

def work_through(number, promises):
    """[(promise, complaint or None)] of one copy's share."""
    copy = Copy(number)
    copy.refresh()
    built = copy.make([p.program for p in promises])
    if built.returncode != 0:
        sys.stdout.write(built.stdout.decode(errors='replace')[-3000:])
        raise Mistake('the tree as it stands does not build')
    results = []
    for promise in promises:
        state = copy.check(promise)
        results.append((promise, None if state == 'passed' else f'as the code stands: {state}'))
    for i, (promise, complaint) in enumerate(results):
        if complaint is None:
            try:
                results[i] = (promise, copy.judge(promise))
            except Mistake as mistake:
                results[i] = (promise, str(mistake))
    copy.restore()
    return results


def table(promises):
    print('| promise | test | broken in |\n|---|---|---|')
    for p in promises:
        files = ', '.join(sorted({f'`{path}`' for path, _, _ in p.edits}))
        print(f'| {p.text} | `{p.test}` | {files} |')


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1)
    parser.add_argument('--only', default='')
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
    # Promises of one file go to one copy: it then compiles the file's neighbours once.
    shares = [[] for _ in range(max(1, min(args.jobs, len(promises))))]
    for p in sorted(promises, key=lambda p: (p.edits[0][0], p.line)):
        min(shares, key=len).append(p)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        for results in pool.map(work_through, range(len(shares)), shares):
            for promise, complaint in results:
                failed += complaint is not None
                if complaint is not None:
                    print(f'not ok {promise.where}: {promise.text}\n    {complaint}')
    print(f'{len(promises) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except Mistake as mistake:
        print(f'promises.py: {mistake}', file=sys.stderr)
        sys.exit(2)
