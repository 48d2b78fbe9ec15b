#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""coverage.py - which lines and branches of the library no test executes.

coverage.py --build DIR [--missing PATH] [--files] [--gate FILE] [--exclusions FILE]
coverage.py --build DIR --clear
coverage.py --mcdc EXPORT.json [--gate FILE] [--exclusions FILE] [--missing PATH]

DIR is a build with TT_COVERAGE=ON whose tests have run; gcov reads its counters, and what
several objects say of one header is added up. Counted are the files under src/. With
--files the table has a row per file besides those per layer; --missing prints the lines and
branches of the files whose path contains PATH ("all": of every file) that nothing executed;
--clear sets all counters to zero. --mcdc reads what `llvm-cov export` wrote of a clang
build instead: a decision is covered when each of its conditions was seen to decide it.

Left out by rule, whoever wrote the line:
  the branches of TT_REQUIRE, TT_ASSERT, TT_ASSERT_SLOW and TTI_SOMETIMES statements: the
  way to the panic is taken by a test where misuse can cause it, never where it is a bug;
  the functions that only assertions call: "TT_UNUSED static" ones, "..._is_valid";
  the way out of "do ... while (0)"; for MC/DC, decisions with a switch of TTI_LAW_BROKEN.
A template (a .inc file) counts once, whatever the number of its expansions.
By name: the lines of the exclusions file, "path | text in the line | reason". "path | NAME()
| reason" takes a whole function. One whose line or function is not there is an error.

The gate file has lines "lines|branches|mcdc FLOOR GOAL", "kernel FLOOR GOAL" and "file PATH
[FUNCTION...]" for each kernel file, whose branches are counted for "kernel" and "mcdc". Last line: "N passed, M failed".
"""

import argparse
import collections
import concurrent.futures
import fnmatch
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STATEMENT = re.compile(r'\b(TT_REQUIRE|TT_ASSERT|TT_ASSERT_SLOW|TTI_SOMETIMES)\s*\(')
CONSTANT = re.compile(r'\bTTI_LAW_BROKEN\(')
CHECKER = re.compile(r'\bTT_UNUSED static\b|\b\w+_(is|are)_valid\(')
# At the left edge, and no declaration.
DEFINITION = re.compile(r'^[A-Za-z_][^;=]*?\b(\w+)\([^;]*$')
CLOSED = re.compile(r'^\}\s*while \(0\);?\s*\\?$')


class Source:
    """A file of src/: its lines, and which of them hold assertions."""

    def __init__(self, path):
        self.path = path
        with open(os.path.join(ROOT, path), encoding='utf-8') as f:
            self.lines = f.read().split('\n')
        self.asserts, self.checkers = set(), set()
        number = 0
        while number < len(self.lines):
            number = self._statement(number) + 1
        for number, line in enumerate(self.lines):
            if CHECKER.search(line) and not line[:1].isspace() and not line.rstrip().endswith(';'):
                self._function(number)

    def _statement(self, number):
        """Marks the assertion that begins in this line; returns its last line."""
        m = STATEMENT.search(self.lines[number])
        if m is None or self.lines[number].lstrip().startswith(('*', '/*', '#')):
            return number
        depth, at, first = 0, m.end() - 1, number
        while number < len(self.lines):
            for c in self.lines[number][at:]:
                depth += (c == '(') - (c == ')')
                if depth == 0 and c == ')':
                    self.asserts.update(range(first + 1, number + 2))
                    return number
            number, at = number + 1, 0
        return first

    def _function(self, number):
        """Marks the function that begins in this line."""
        while number < len(self.lines):
            self.checkers.add(number + 1)
            if self.lines[number] == '}':
                return
            number += 1

    def text(self, number):
        return self.lines[number - 1].strip() if number <= len(self.lines) else ''

    def function_at(self, number):
        """The name of the function that a line belongs to: the last one that begins above it."""
        for line in reversed(self.lines[:number]):
            m = DEFINITION.match(line)
            if m:
                return m.group(1)
        return ''

    def defines(self, name):
        return any(m and m.group(1) == name for m in map(DEFINITION.match, self.lines))

    def has_branches(self, number):
        return number not in self.asserts and CLOSED.match(self.text(number)) is None


def name_of(function):
    """Of the function, where the key says which decision in its line as well."""
    return function.split(' ')[0]


class File:
    """What was executed of one file."""

    def __init__(self, path):
        self.source = Source(path)
        self.lines = collections.Counter()      # number -> times
        self.functions = {}                     # number -> function
        self.branches = {}                      # (number, function) -> [times]

    def add_line(self, number, function, times):
        self.lines[number] += times
        self.functions[number] = function

    def add_branches(self, number, function, times):
        if self.source.path.endswith('.inc'):
            function = ''
        old = self.branches.setdefault((number, function), [0] * len(times))
        # Objects that disagree about a line (a macro that expands differently) add ways.
        old.extend([0] * (len(times) - len(old)))
        for i, n in enumerate(times):
            old[i] += n

    def finish(self, excluded):
        """Drops what is left out by rule or by name."""
        for number in self.source.checkers:
            self.lines.pop(number, None)
        for key in [k for k in self.branches if k[0] in self.source.checkers]:
            del self.branches[key]
        gone = {n for n in self.lines if self.lines[n] == 0 and excluded.takes(self, n)}
        for n in gone:
            del self.lines[n]
        for number, function in list(self.branches):
            ways = self.branches[number, function]
            if number in gone or not self.source.has_branches(number) or (
                    0 in ways and excluded.takes(self, number, function)):
                excluded.count += ways.count(0) if self.source.has_branches(number) else 0
                excluded.lines += number in gone
                del self.branches[number, function]

    def line_counts(self):
        return sum(1 for n in self.lines.values() if n > 0), len(self.lines)

    def branch_counts(self, functions=()):
        """Of the named functions; of all when none is named."""
        ways = [n for (_, function), w in self.branches.items() for n in w
                if not functions or name_of(function) in functions]
        return sum(1 for n in ways if n > 0), len(ways)


class Exclusions:
    def __init__(self, path):
        self.entries, self.used, self.count, self.lines = [], set(), 0, 0
        if path is None:
            return
        with open(path, encoding='utf-8') as f:
            for line in f:
                if not line.strip() or line.startswith('#'):
                    continue
                words = [w.strip() for w in line.split(' | ')]
                if len(words) != 3 or not all(words):
                    sys.exit(f'coverage.py: {path}: not "path | text | reason": {line.strip()}')
                self.entries.append(tuple(words))

    def takes(self, file, number, function=None):
        function = function or file.functions.get(number)
        for i, (path, text, _) in enumerate(self.entries):
            if path != file.source.path:
                continue
            if text == f'{name_of(function or "")}()' or (not text.endswith('()') and text in file.source.text(number)):
                self.used.add(i)
                return True
        return False

    def stale(self, files):
        """Those that no line of their file answers to; a race may well be run through by chance."""
        return [' | '.join(e[:2]) for i, e in enumerate(self.entries) if i not in self.used and not (
            e[0] in files and any(e[1].removesuffix(')') in line for line in files[e[0]].source.lines))]


# ---------------------------------------------------------------- gcov

def counters(build, suffix):
    for folder, _, names in os.walk(os.path.join(build, 'CMakeFiles', 'tutti_objects.dir')):
        for name in names:
            if name.endswith(suffix):
                yield os.path.join(folder, name)


def gcov(note):
    done = subprocess.run(['gcov', '--json-format', '--stdout', '--branch-probabilities',
                           os.path.basename(note)], cwd=os.path.dirname(note),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        # A process that was killed while it wrote; what it tore cannot be added to either.
        sys.exit(f'coverage.py: {note}: {done.stderr.decode().strip()}: clear, and run the tests again')
    return [json.loads(line) for line in done.stdout.decode().split('\n') if line.startswith('{')]


def measured(path):
    """The path below the root of a file of the library, else None."""
    path = os.path.relpath(os.path.join(ROOT, path), ROOT)
    return path if path.startswith('src' + os.sep) and not path.endswith('_test.c') else None


def read_gcov(build):
    files = {}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for reports in pool.map(gcov, sorted(counters(build, '.gcno'))):
            for entry in (f for report in reports for f in report['files']):
                path = measured(entry['file'])
                if path is None:
                    continue
                file = files.setdefault(path, None) or File(path)
                files[path] = file
                for line in entry['lines']:
                    function = line.get('function_name', '')
                    file.add_line(line['line_number'], function, line['count'])
                    if line['branches']:
                        file.add_branches(line['line_number'], function,
                                          [b['count'] for b in line['branches']])
    return files


# ---------------------------------------------------------------- MC/DC

def read_mcdc(export):
    """A decision's conditions are its branches: counted once each was seen to decide."""
    files = {}
    with open(export, encoding='utf-8') as f:
        data = json.load(f)['data'][0]
    for entry in data['files']:
        path = measured(entry['filename'])
        if path is None:
            continue
        files[path] = file = File(path)
        for record in entry.get('mcdc_records', []):
            if CONSTANT.search(file.source.text(record[0])):
                continue
            file.add_branches(record[0], f'{file.source.function_at(record[0])} decision at column {record[1]}',
                              [int(c) for c in record[-1]])
        for branch in entry.get('branches', []):
            file.lines[branch[0]] += branch[4] + branch[5]
    return files


# ---------------------------------------------------------------- what is printed

def percent(part):
    return 100.0 * part[0] / part[1] if part[1] else 100.0


def total(parts):
    parts = list(parts)
    return sum(p[0] for p in parts), sum(p[1] for p in parts)


def row(name, files):
    lines, branches = total(f.line_counts() for f in files), total(f.branch_counts() for f in files)
    return (f'{name:<28} {percent(lines):6.2f} % {lines[0]:6} of {lines[1]:6}    '
            f'{percent(branches):6.2f} % {branches[0]:6} of {branches[1]:6}')


def table(files, each):
    layers = collections.defaultdict(list)
    for path, file in files.items():
        layers[path.split(os.sep)[1]].append(file)
    print(f'{"":<28} {"lines":>8} {"":>16}    {"branches":>8}')
    for layer in sorted(layers):
        print(row(layer, layers[layer]))
        if each:
            for file in sorted(layers[layer], key=lambda f: f.source.path):
                print(row('  ' + os.path.basename(file.source.path), [file]))
    print(row('all', files.values()))


def print_missing(files, wanted):
    for path in sorted(files):
        if wanted not in ('all', path) and wanted not in path:
            continue
        file, said = files[path], {}
        for number, times in file.lines.items():
            if times == 0:
                said[number] = 'not executed'
        for (number, _), ways in file.branches.items():
            if 0 in ways and said.get(number) is None:
                never = ' '.join(str(i) for i, n in enumerate(ways) if n == 0)
                said[number] = f'{ways.count(0)} of {len(ways)} ways not taken ({never})'
        for number in sorted(said):
            print(f'{path}:{number}: {said[number]}: {file.source.text(number)}')


# ---------------------------------------------------------------- the gate

def read_gate(path):
    floors, kernel = [], []
    with open(path, encoding='utf-8') as f:
        for line in f:
            words = line.split('#')[0].split()
            if words and words[0] == 'file':
                kernel.append(words[1:])
            elif words:
                floors.append((words[0], float(words[1]), float(words[2])))
    return floors, kernel


def gate(files, path, excluded, mcdc):
    floors, kernel = read_gate(path)
    chosen = [(files[p], k[1:]) for p in sorted(files) for k in kernel if fnmatch.fnmatch(p, k[0])]
    lost = [k[0] for k in kernel if not any(fnmatch.fnmatch(p, k[0]) for p in files)]
    branches = total(f.branch_counts() for f in files.values())
    reached = {
        'lines': percent(total(f.line_counts() for f in files.values())),
        'branches': percent(branches),
        'kernel': percent(total(f.branch_counts(functions) for f, functions in chosen)),
        'mcdc': percent(total(f.branch_counts(functions) for f, functions in chosen)),
    }
    failures = [f'kernel file {k} is not there' for k in lost] + [
        f'kernel function {name} is not in {f.source.path}' for f, functions in chosen
        for name in functions if not f.source.defines(name)] + [
        f'exclusion of what is not there: {e}' for e in excluded.stale(files)]
    share = percent((excluded.count, excluded.count + branches[1]))
    print(f'excluded by name: {excluded.count} branches, {share:.2f} % of all (at most 2 %)')
    if share > 2:
        failures.append(f'{share:.2f} % of the branches are excluded')
    passed = 0
    for what, floor, goal in floors:
        if (what == 'mcdc') != mcdc:
            continue
        print(f'reached: {what} {reached[what]:.2f} % (floor {floor:g}, goal {goal:g})')
        if reached[what] < floor:
            failures.append(f'{what}: {reached[what]:.2f} % is below {floor:g} %')
        else:
            passed += 1
    for text in failures:
        print(f'FAILED: {text}')
    print(f'{passed} passed, {len(failures)} failed')
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description='Coverage of the library by its tests.')
    parser.add_argument('--build')
    parser.add_argument('--mcdc')
    parser.add_argument('--clear', action='store_true')
    parser.add_argument('--files', action='store_true')
    parser.add_argument('--missing')
    parser.add_argument('--gate')
    parser.add_argument('--exclusions')
    args = parser.parse_args()
    if (args.build is None) == (args.mcdc is None):
        parser.error('one of --build and --mcdc')
    if args.clear:
        for path in counters(args.build, '.gcda'):
            os.unlink(path)
        return 0
    files = read_mcdc(args.mcdc) if args.mcdc else read_gcov(args.build)
    if not any(n > 0 for f in files.values() for n in f.lines.values()):
        sys.exit('coverage.py: no counters: has a test run?')
    excluded = Exclusions(args.exclusions)
    for path in sorted(files):
        files[path].finish(excluded)
    table(files, args.files)
    if args.missing:
        print_missing(files, args.missing)
    return gate(files, args.gate, excluded, args.mcdc is not None) if args.gate else 0


if __name__ == '__main__':
    sys.exit(main())
