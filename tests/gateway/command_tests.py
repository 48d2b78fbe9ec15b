# SPDX-License-Identifier: MIT
"""command_tests.py - the command line: what it refuses, and how it says so."""

import os
import re
import socket
import stat

from harness import check, equal

NUMBERS = (
    # option, least, most
    ('--workers', 1, 1024),
    ('--deadline', 1, 86400000),
    ('--linger', 0, 60000),
    ('--batch-events', 1, 1000000),
    ('--queue-events', 1, 10000000),
    ('--body-max', 1, 1 << 30),
    ('--events-max', 1, 1000000),
    ('--connections-max', 1, 1000000),
    ('--header-timeout', 1, 86400000),
    ('--idle-timeout', 1, 86400000),
    ('--stop-bound', 0, 86400000),
)


def one_line(outcome, status, what):
    """Exactly one line on stderr, nothing on stdout; returns it."""
    equal((outcome.returncode, outcome.stdout), (status, ''), f'{what}: {outcome.stderr!r}')
    check(re.fullmatch(r'tutti-gateway: [^\n]+\n', outcome.stderr), f'{what}: {outcome.stderr!r}')
    return outcome.stderr


def wrong_numbers(t):
    """TEST Each number out of its range, or none at all, is one line that names it; exit 2."""
    for option, least, most in NUMBERS:
        bad = ['', 'x', '1x', '-1', '+1', ' 1', '1.5', '99999999999999999999', str(most + 1)]
        if least > 0:
            bad.append(str(least - 1))
        for value in bad:
            line = one_line(t.run('run', option, value), 2, f'{option} {value!r}')
            check(option in line and f"'{value}'" in line and str(most) in line, f'{line!r}')
        one_line(t.run('run', f'{option}={most + 1}'), 2, f'{option}={most + 1}')


def wrong_words(t):
    """TEST Every other wrong form is one line that names the word; exit 2."""
    for arguments, named in (
            ((), 'run'), (('serve',), 'serve'), (('',), "''"), (('--listen', 'x'), '--listen'),
            (('run', '--port', '1'), '--port'), (('run', '--portx=1'), '--portx'),
            (('run', 'stray'), 'stray'), (('run', '-x'), '-x'), (('run', '--'), '--'),
            (('run', '--listen'), '--listen'), (('run', '--store'), '--store'),
            (('run', '--workers'), '--workers'), (('run', '--work', '2'), '--work'),
            (('run', '--io', 'kqueue'), 'kqueue'), (('run', '--io='), '--io'),
            (('run', '--io', 'EPOLL'), 'EPOLL'), (('run', '--io'), '--io'),
            (('run', '--queue-events', '10'), '--queue-events'),
            (('run', '--workers', '1', 'run'), "'run'")):
        line = one_line(t.run(*arguments), 2, f'{arguments}')
        check(named in line, f'{arguments}: {line!r} does not name {named}')


def help_and_version(t):
    """TEST --help names every option, --version the version; exit 0, also beside other words."""
    for arguments in (('--help',), ('-h',), ('run', '--help'), ('run', '--workers', '9999', '--help')):
        outcome = t.run(*arguments)
        equal((outcome.returncode, outcome.stderr), (0, ''), f'{arguments}')
        for option in [n[0] for n in NUMBERS] + ['--listen', '--store', '--io', '--help', '--version']:
            check(option in outcome.stdout, f'{arguments}: {option} is missing')
    outcome = t.run('--version')
    equal((outcome.returncode, outcome.stderr), (0, ''), '--version')
    check(re.fullmatch(r'tutti-gateway \d+\.\d+\.\d+\S*\n', outcome.stdout), f'{outcome.stdout!r}')


def equals_form(t):
    """TEST --name=value is the same as --name value."""
    g = t.gateway('--events-max=2', f'--io={t.io}', '--queue-events=5')
    equal(g.post([{'type': 't'}] * 2).status, 200, 'two events')
    equal(g.post([{'type': 't'}] * 3).status, 413, 'three events')


def last_one_wins(t):
    """TEST An option that is given twice has its last value."""
    g = t.gateway('--events-max', 1, '--events-max', 2)
    equal(g.post([{'type': 't'}] * 2).status, 200, 'two events')


def each_io(t):
    """TEST --io auto, epoll and uring all serve."""
    for io in ('auto', 'epoll', 'uring'):
        g = t.gateway('--io', io)
        equal(g.post({'type': 't'}).statuses(), ['accepted'], io)


def bad_stores(t):
    """TEST A store that cannot be opened is one line that names it and the cause; exit 1."""
    folder = t.folder
    text = os.path.join(folder, 'no.db')
    with open(text, 'w', encoding='ascii') as f:
        f.write('this is not a database at all, ' * 100)
    os.mkdir(os.path.join(folder, 'closed'))
    os.chmod(os.path.join(folder, 'closed'), stat.S_IRUSR | stat.S_IXUSR)
    bad = [('postgres:x', 'postgres:x'), ('sqlite', 'sqlite'), ('sqlite:', ''),
           (f'sqlite:{folder}/none/x.db', f'{folder}/none/x.db'), (f'sqlite:{folder}', folder),
           (f'sqlite:{text}', text)]
    if os.geteuid() != 0:   # root may write anywhere
        bad.append((f'sqlite:{folder}/closed/x.db', f'{folder}/closed/x.db'))
    else:
        bad.append(('sqlite:/proc/x.db', '/proc/x.db'))
    for store, named in bad:
        line = one_line(t.run('run', '--listen', '127.0.0.1:0', '--store', store), 1, store)
        check(named in line, f'{store}: {line!r}')


def bad_addresses(t):
    """TEST An address that cannot be listened on: one message that names it, with its causes; exit 1."""
    taken = socket.socket()
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    in_use = f'127.0.0.1:{taken.getsockname()[1]}'
    store = f'sqlite:{t.folder}/a.db'
    for address in (in_use, '127.0.0.1', '127.0.0.1:x', '127.0.0.1:65536', ':', '192.0.2.1:80', '',
                    '256.0.0.1:80', 'unix:'):
        outcome = t.run('run', '--listen', address, '--store', store, '--io', t.io)
        equal((outcome.returncode, outcome.stdout), (1, ''), f'{address!r}: {outcome.stderr!r}')
        lines = outcome.stderr.splitlines()
        check(lines and lines[0].startswith(f'error: listen on {address}: ')
              and all(line.startswith('  ') for line in lines[1:]), f'{address!r}: {outcome.stderr!r}')
    taken.close()


def addresses_that_work(t):
    """TEST IPv6, a name and any address can be listened on."""
    for host in ('[::1]', 'localhost', '0.0.0.0'):
        if host == '[::1]' and not has_ipv6():
            continue
        g = t.gateway('--listen', f'{host}:0')
        equal(g.host, host, 'the host of the URL')
        with socket.create_connection((host.strip('[]'), g.port), 5) as s:
            s.sendall(b'GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
            check(s.recv(4096).startswith(b'HTTP/1.1 200 '), host)


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(('::1', 0))
        return True
    except OSError:
        return False


def bad_crash_point(t):
    """TEST A crash point of the tests that is misspelt is one line and exit 2."""
    for value in ('x', 'in_commit', 'in_commit:0', 'in_commit:1x'):
        line = one_line(t.run('run', env=dict(os.environ, TUTTI_CRASH_AT=value)), 2, value)
        check('TUTTI_CRASH_AT' in line, f'{line!r}')
