#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""e2e.py - the gateway as its clients, its operator and its disk see it.

e2e.py --gateway build/dev/bin/tutti-gateway [--io auto|epoll|uring] [--only NAME] [--jobs N]

Each test starts gateways of its own, on port 0 and a temporary folder. Prints "ok NAME" or
"not ok NAME: why" for each, and last "N passed, N failed". Exit status 0 when none failed, 1
otherwise, 2 on misuse. A test is a function of a module here whose name ends in _tests.
"""

import argparse
import concurrent.futures
import sys
import time
import traceback

sys.dont_write_bytecode = True

# pylint: disable=wrong-import-position
import command_tests    # noqa: E402
import http_tests       # noqa: E402
import interface_tests  # noqa: E402
import overload_tests   # noqa: E402
import stop_tests       # noqa: E402
from harness import Case, Failure   # noqa: E402

MODULES = (overload_tests, stop_tests, http_tests, interface_tests, command_tests)


def all_tests():
    for module in MODULES:
        for name, value in vars(module).items():
            if callable(value) and getattr(value, '__module__', '') == module.__name__ \
                    and (value.__doc__ or '').startswith('TEST '):
                yield name, value


def run_one(program, io, name, function):
    """Why it failed, or None; and the seconds it took."""
    began = time.monotonic()
    case = Case(program, io)
    try:
        function(case)
        case.check_end()
        why = None
    except Failure as e:
        why = str(e)
    except Exception as e:      # pylint: disable=broad-except
        where = traceback.extract_tb(e.__traceback__)[-1]
        why = f'{type(e).__name__}: {e} ({where.filename}:{where.lineno})'
    finally:
        if sys.exc_info()[0] is None and why:
            for g in case.gateways:
                if g.stderr():
                    why += f'; stderr: {g.stderr()[-2000:]!r}'
        case.clean()
    return name, why, time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--gateway', required=True, help='the program under test')
    parser.add_argument('--io', choices=('auto', 'epoll', 'uring'), default='auto')
    parser.add_argument('--only', default='', help='tests whose name contains this')
    parser.add_argument('--jobs', type=int, default=4, help='tests at once')
    options = parser.parse_args()
    chosen = [(name, f) for name, f in all_tests() if options.only in name]
    if not chosen:
        parser.error(f'no test is called {options.only!r}')
    failed = []
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        running = [pool.submit(run_one, options.gateway, options.io, name, f) for name, f in chosen]
        for future in concurrent.futures.as_completed(running):
            name, why, seconds = future.result()
            if why:
                failed.append(name)
            print(f'not ok {name}: {why}' if why else f'ok {name} # {seconds:.1f} s', flush=True)
    for name in sorted(failed):
        print(f'FAILED: {name} (--io {options.io})')
    print(f'{len(chosen) - len(failed)} passed, {len(failed)} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
