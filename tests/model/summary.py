#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The model checker's figures: runs every harness, tries every mutant, and says what is covered.

    summary.py --bin BUILD/bin [--executions N] [--jobs N] [--no-mutants]

Each harness is searched as far as its scenarios say. Then, together, they make random
executions until N were made in all, each for the same time. The mutation rule is that
of all harnesses together: an order that is one step too weak must be caught by one of
them. Every atomic access under src/ is looked up in what the programs reached; those that
none did are survivors too, if they have an order, and have to be in NOT_COVERED.

Prints a table, and as its last line "N passed, M failed"; called by tools/check/model.sh.
"""
import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SELF_TESTS = ('litmus', 'reduction')      # of the checker
SURVIVORS_MAX = 0.05

# What no harness reaches, and why: the start of a path, a part of the line, the reason.
NOT_COVERED = ()

ACCESS = re.compile(r'\btti_(load|store|exchange|fetch_add|fetch_sub|fetch_or|fetch_and|cas|fence)_'
                    r'(relaxed|acquire|release|acq_rel|seq_cst)\(')
SITE = re.compile(r'^site (\S+:\d+) (\S+)\(\) (\S+) (\S+) (reached|unreached)$')
MUTANT = re.compile(r'^(caught|allowed|SURVIVED)\s+\d+ (\S+:\d+) (\S+)\(\) ([a-z_]+ (?:failure )?[a-z_]+->[a-z_]+)(?:: (.*))?$')
TOTAL = re.compile(r'^(\w+): executions (\d+), left (\d+), (\d+)/s, of mutants (\d+), (ok|FAILED)$', re.M)


def mutants_of(op, order):
    """How many ways there are to weaken one step, as main.c makes them."""
    n = {'relaxed': 0, 'acq_rel': 2}.get(order, 1)
    if op == 'cas':
        n += {'acq_rel': 1, 'seq_cst': 1}.get(order, 0)
    return n


def accesses():
    """(path:line, op, order, text) of every atomic access of the library's own sources."""
    for path in sorted((ROOT / 'src').rglob('*.[ch]')):
        name = path.relative_to(ROOT).as_posix()
        if name.endswith(('_test.c', '_testkit.h')) or name.startswith('src/base/atomic'):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split('/*')[0]
            if code.lstrip().startswith('*'):
                continue
            for m in ACCESS.finditer(code):
                yield f'{name}:{number}', m[1], m[2], line.strip()


class Run:
    def __init__(self, program, *options):
        self.name = re.sub(r'^model_|_test$', '', program.name)
        self.command = [str(program), *options]
        began = time.monotonic()
        p = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           errors='replace', check=False)
        self.seconds = time.monotonic() - began
        self.text = p.stdout
        m = TOTAL.search(p.stdout)
        # The reduction's own test compares two searches and has no total.
        self.ok = p.returncode == 0 and (m[6] == 'ok' if m else self.name in SELF_TESTS)
        self.executions, self.left, self.rate, self.of_mutants = (int(m[i]) for i in (2, 3, 4, 5)) if m else (0, 0, 0, 0)


def run_all(programs, options_of, jobs):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda p: Run(p, *options_of(p)), programs))


class Figures:
    """What the runs said, put together."""

    def __init__(self, runs):
        self.reached, self.caught, self.alive = set(), {}, {}
        for run in runs:
            for line in run.text.splitlines():
                if (m := SITE.match(line)) and m[5] == 'reached':
                    self.reached.add((m[1], m[3]))
                elif m := MUTANT.match(line):
                    key = (m[2], m[3], m[4])
                    if not key[0].startswith('src/'):
                        continue
                    if m[1] == 'caught':
                        self.caught.setdefault(key, run.name)
                    else:
                        self.alive.setdefault(key, m[5] if m[1] == 'allowed' else None)
        self.survivors = {k: why for k, why in self.alive.items() if k not in self.caught}


def changed_since(runs):
    """Sources that are newer than a program made of them: it knows other lines of theirs."""
    changed = set()
    for run in runs:
        built = pathlib.Path(run.command[0]).stat().st_mtime
        files = {m[1].split(':')[0] for line in run.text.splitlines() if (m := SITE.match(line))}
        changed |= {f for f in files if not (ROOT / f).exists() or (ROOT / f).stat().st_mtime > built}
    return sorted(changed)


def why_not_covered(place, text):
    for start, part, why in NOT_COVERED:
        if place.startswith(start) and part in text:
            return why
    return None


def report_coverage(figures, failures):
    total = orders = missing = 0
    unexplained, apart = [], []
    for place, op, order, text in accesses():
        total += 1
        orders += mutants_of(op, order) > 0
        if (place, op) in figures.reached:
            continue
        apart.append(place)
        why = why_not_covered(place, text)
        missing += mutants_of(op, order)
        if order == 'relaxed':
            continue
        print(f'  not reached  {place} {op} {order}: {why or "NOT EXPLAINED"}')
        if why is None:
            unexplained.append(place)
    print(f'note: atomic accesses {total}, {total - len(apart)} of them reached by a harness; '
          f'{orders} have an order to weaken')
    if unexplained:
        failures.append('reached by no harness: ' + ', '.join(unexplained))
    return missing


def report_mutants(figures, missing, failures):
    for (place, func, change), why in sorted(figures.survivors.items()):
        print(f'  survivor     {place} {func}() {change}: {why or "NOT EXPLAINED"}')
        if why is None:
            failures.append(f'survives without a reason: {place} {change}')
    tried = len(figures.caught) + len(figures.survivors)
    alive = len(figures.survivors) + missing
    share = alive / max(1, tried + missing)
    print(f'note: mutants {tried + missing}, caught {len(figures.caught)}, survivors {len(figures.survivors)}, '
          f'in no harness {missing}: {100 * share:.1f} % alive, at most {100 * SURVIVORS_MAX:.0f} %')
    if share > SURVIVORS_MAX:
        failures.append(f'{100 * share:.1f} % of the mutants are alive')


def add_random(programs, runs, wanted, jobs):
    """More executions at random, for the same time in each harness that gains by them."""
    left = wanted - sum(r.executions for r in runs)
    rates = {p: r.rate for p, r in zip(programs, runs) if ', partial,' in r.text}
    if left <= 0 or not rates:
        return []
    share = {p: max(1, left * rate // sum(rates.values()) + 1) for p, rate in rates.items()}
    return run_all(sorted(share), lambda p: ['--random', str(share[p])], jobs)


def print_table(runs, more):
    extra = {r.name: r for r in more}
    print(f'{"harness":<12} {"executions":>12} {"scenarios":>9} {"mutants":>8} {"caught":>7} {"seconds":>8}')
    for run in runs:
        found = [MUTANT.match(line) for line in run.text.splitlines()]
        found = [m for m in found if m]
        scenarios = len(re.findall(r'^(?:ok  |FAIL) \w+: \d+ executions', run.text, re.M))
        seconds = run.seconds + (extra[run.name].seconds if run.name in extra else 0)
        executions = run.executions + (extra[run.name].executions if run.name in extra else 0)
        print(f'{run.name:<12} {executions:>12,} {scenarios:>9} {len(found):>8} '
              f'{sum(m[1] == "caught" for m in found):>7} {seconds:>8.1f}')


def show_failures(runs, failures):
    for run in runs:
        if run.ok:
            continue
        failures.append(f'{" ".join(run.command)}')
        print(f'---- {" ".join(run.command)}\n{run.text[-6000:]}')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--bin', type=pathlib.Path, required=True)
    parser.add_argument('--executions', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--no-mutants', action='store_true')
    args = parser.parse_args()

    programs = sorted(args.bin / f'model_{p.stem}' for p in (ROOT / 'tests/model').glob('*_test.c'))
    missing_programs = [p.name for p in programs if not p.exists()]
    if missing_programs:
        print(f'0 passed, 1 failed: not built: {" ".join(missing_programs)}')
        return 1
    own = [p for p in programs if re.sub(r'^model_|_test$', '', p.name) in SELF_TESTS]
    harnesses = [p for p in programs if p not in own]
    failures = []
    self_runs = run_all(own, lambda p: [], args.jobs)
    options = ['--sites'] if args.no_mutants else ['--sites', '--mutate']
    runs = run_all(harnesses, lambda p: options, args.jobs)
    more = add_random(harnesses, runs, args.executions, args.jobs)
    show_failures(self_runs + runs + more, failures)
    print_table(runs, more)
    figures = Figures(runs)
    missing = report_coverage(figures, failures)
    if not args.no_mutants:
        report_mutants(figures, missing, failures)
    total = sum(r.executions for r in runs + more)
    left = sum(r.left for r in runs + more)
    print(f'note: executions {total:,} of the code as it is ({left:,} more were left as equal to others), '
          f'{sum(r.of_mutants for r in runs):,} of mutants, {sum(r.executions for r in self_runs):,} of the checker\'s own tests')
    if total < args.executions:
        failures.append(f'{total} executions, {args.executions} are wanted')
    changed = changed_since(runs)
    if changed:
        failures.append(f'changed after the programs were built, so that lines do not fit: {" ".join(changed)}')
    for why in failures:
        print(f'FAILED: {why}')
    passed = len(self_runs) + len(runs) + len(more) + 1 + (not args.no_mutants)
    print(f'{max(0, passed - len(failures))} passed, {len(failures)} failed')
    return 1 if failures else 0


if __name__ == '__main__':
    sys.exit(main())
