#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""laws.py - do the tests notice a broken law? Called by laws.sh.

laws.py --build DIR [--number N] [--timeout SECONDS]

Everything follows from the sources: TTI_LAW_BROKEN(n) in src/ gives lib/law-n, a comment
"law n" directly above a kit test (or in it, or TT_LAW(n)) makes the test cite law n. With
law n broken

  - every test that cites it fails, on the simulation with one worker or with four;
  - every other test passes as before.

A test whose name is not written out in its source (made by a table) may do either, and so
may one that says "perhaps law n": with real threads in it, chance decides. A plain
program has one result for all it claims: it runs for the laws that its comments name, and
may fail or not, except that a law that no kit test cites must fail one of them. With a line
"test-laws: 4 6" it cites them as a test does.

The last line reads "N passed, M failed": one per law, and one for the sound build. Bugs that
break no law are the affair of plants.py.
"""

import argparse
import collections
import os
import re
import sys
import time

import kit_run

LAWS = range(1, 13)
CITE = re.compile(r'\blaws?\s+((?:\d+(?:\s*(?:,|and|&)\s*)?)+)|\bTT_LAW\((\d+)\)', re.I)
WHOLE = ''      # the name of the one result of a plain program
TEST_SECONDS = 10   # a kit test that takes longer hangs


PERHAPS = re.compile(r'\bperhaps\s+(laws?\s+(?:\d+(?:\s*(?:,|and|&)\s*)?)+)', re.I)


def numbers(text):
    """What a text cites; what it cites with a "perhaps" is left out."""
    text = PERHAPS.sub('', text)
    found = set()
    for m in CITE.finditer(text):
        found |= {int(n) for n in re.findall(r'\d+', m.group(1) or m.group(2))}
    return found


def read_citations(test):
    """test name -> the numbers it cites. A kit test's text is its comment and its body."""
    text = kit_run.text_of(test)
    if not test.configurations:
        stated = re.search(r'test-laws:([ \d]+)', text)
        return {WHOLE: {int(n) for n in stated.group(1).split()} if stated else set()}
    found = {}
    for m in re.finditer(r'(?:/\*(?:(?!\*/).)*\*/[ \t]*\n)?TT_TEST\w*\(\s*\w+\s*,\s*(\w+)[^\n]*\n.*?^\}',
                         text, re.S | re.M):
        found[m.group(1)] = numbers(m.group())
    return found


def excused(test):
    """test name -> the laws that it may or may not notice."""
    found = {}
    for m in re.finditer(r'TT_TEST\w*\(\s*\w+\s*,\s*(\w+)[^\n]*\n.*?^\}', kit_run.text_of(test), re.S | re.M):
        found[m.group(1)] = {int(n) for words in PERHAPS.findall(m.group()) for n in re.findall(r'\d+', words)}
    return found


def commands(test):
    """(configuration, arguments) of the runs on the simulation."""
    if not test.configurations:
        return [('plain', [])]
    return [(c, ['--on=sim', '--workers=' + c[len('sim'):], f'--timeout={TEST_SECONDS}'])
            for c in test.configurations if c.startswith('sim')]


def runs_here(test):
    """Kit tests, and programs that name a law; slow ones only if they cite one."""
    if 'slow' in kit_run.labels(test) and not any(read_citations(test).values()):
        return False
    return bool(test.configurations) or bool(numbers(kit_run.text_of(test))) or any(read_citations(test).values())


def concerns(test, n):
    """Does the test say anything about law n? Plain programs run for those only."""
    if test.configurations or n is None:
        return True
    return n in read_citations(test)[WHOLE] | numbers(kit_run.text_of(test))


def run_variant(build, tests, variant, timeout):
    """(program name, test name) -> 'green' or 'red'."""
    library = os.path.join(build, 'lib', variant)
    began = time.monotonic()
    jobs = []
    for test in tests:
        for configuration, arguments in commands(test):
            jobs.append(((test.name, configuration), [test.program] + arguments,
                         {'LD_LIBRARY_PATH': library}))
    results = {}
    # Tests that hang cost no processor: others run meanwhile.
    for (name, configuration), (status, output) in kit_run.run_all(jobs, timeout, per_core=2).items():
        if configuration == 'plain':
            found = {WHOLE: status in (0, kit_run.SKIPPED)}
        else:
            found = kit_run.read_tap(output)
            if not found and status != 0:
                found = {WHOLE: False}
        for key, passed in found.items():
            # Red in one configuration is red.
            if not passed:
                results[name, key] = 'red'
            else:
                results.setdefault((name, key), 'green')
    print(f'{variant}: {len(results)} results in {time.monotonic() - began:.0f} s')
    return results


def cites_of(tests):
    return {(t.name, name): cited for t in tests for name, cited in read_citations(t).items()}


def label(key):
    return key[0] + ('.' + key[1] if key[1] else '')


def judge_law(n, cites, perhaps, sound, broken, ran):
    """The complaints about law n. ran(key): was the test to run with it broken?"""
    complaints = []
    citing = [k for k, cited in cites.items() if n in cited]
    programs = [k for k in broken if k[1] == WHOLE and k not in citing]
    if not citing and not programs:
        return [f'no test cites law {n}']
    if not citing and not any(broken[k] == 'red' and sound.get(k) != 'red' for k in programs):
        return [f'no test fails: {", ".join(label(k) for k in programs)} only name law {n}']
    for key in citing:
        if sound.get(key) == 'green' and broken.get(key) == 'green':
            complaints.append(f'{label(key)} cites law {n} but passes without it')
        elif key not in sound:
            complaints.append(f'{label(key)} cites law {n} but does not run on the simulation')
    for key, state in sorted(sound.items()):
        if state != 'green' or key in citing or not ran(key) or n in perhaps.get(key, ()):
            continue
        if key not in broken:
            complaints.append(f'{label(key)} gave no result with law {n} broken')
        elif broken[key] == 'red' and key in cites and key[1] != WHOLE:
            complaints.append(f'{label(key)} does not cite law {n} but fails without it')
    return complaints


def laws_built(build):
    folders = os.listdir(os.path.join(build, 'lib'))
    return sorted(int(d[len('law-'):]) for d in folders if d.startswith('law-'))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--build', required=True)
    parser.add_argument('--number', type=int)
    parser.add_argument('--timeout', type=int, default=30)
    args = parser.parse_args()

    built = laws_built(args.build)
    tests = [t for t in kit_run.read_tests(args.build) if runs_here(t)]
    if not built or not tests:
        print('FAILED: no law is broken in src/, or there are no tests')
        print('0 passed, 1 failed')
        return 1
    cites = cites_of(tests)
    perhaps = {(t.name, name): laws for t in tests for name, laws in excused(t).items()}
    counts = collections.Counter()

    def verdict(name, complaints):
        counts['failed' if complaints else 'passed'] += 1
        print(f'{name}: {"as it should be" if not complaints else ""}')
        for complaint in complaints:
            print(f'  {complaint}')
        if complaints:
            print(f'FAILED: {name}')
        sys.stdout.flush()

    sound = run_variant(args.build, tests, 'sound', args.timeout)
    verdict('sound', [f'{label(k)} fails in the sound build' for k, v in sound.items() if v == 'red'])
    for n in sorted(set(built) | set(LAWS)) if args.number is None else [args.number]:
        if n not in built:
            verdict(f'law {n}', [f'no source breaks it: TTI_LAW_BROKEN({n})'])
            continue
        wanted = [t for t in tests if concerns(t, n)]
        names = {t.name for t in wanted}
        broken = run_variant(args.build, wanted, f'law-{n}', args.timeout)
        print(f'law {n}: {sum(1 for v in broken.values() if v == "red")} red of {len(broken)}')
        verdict(f'law {n}', judge_law(n, cites, perhaps, sound, broken, lambda key: key[0] in names))
    print(f'{counts["passed"]} passed, {counts["failed"]} failed')
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main())
