# SPDX-License-Identifier: MIT
"""harness.py - a gateway in a process of its own, a client that hides nothing, and the table.

Used by the tests of this folder, which e2e.py runs. Every wait here has a bound; what is not
true in time is a Failure. Processes are ended by the pid they were started with.

When a test has ended, each gateway that it left running must stop at SIGTERM with status 0,
have written nothing on stderr that the test did not announce, and leave a sound database.
"""

import json
import os
import re
import resource
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time

WAIT = 30.0     # seconds that any one thing may take


class Failure(Exception):
    pass


def check(held, why):
    if not held:
        raise Failure(why)


def equal(got, want, what):
    if got != want:
        raise Failure(f'{what}: got {shown(got)}, want {shown(want)}')


def shown(value):
    text = repr(value)
    return text if len(text) <= 600 else f'{text[:400]} ... {text[-150:]} ({len(text)} long)'


class Pace:
    """How late the machine wakes those who sleep, summed up: on a machine that is overloaded by
    others nothing is in time, and no fault of the gateway's."""

    def __init__(self):
        self.lag = 0.0
        threading.Thread(target=self.measure, daemon=True).start()

    def measure(self):
        while True:
            began = time.monotonic()
            time.sleep(0.01)
            self.lag += max(0.0, time.monotonic() - began - 0.012)


PACE = Pace()


class Watch:
    """A stopwatch for upper bounds: it does not count what the machine was late by; twice, since
    the gateway waits for a CPU as we do."""

    def __init__(self):
        self.began, self.lag = time.monotonic(), PACE.lag

    def took(self):
        return time.monotonic() - self.began - 2 * (PACE.lag - self.lag)


def until(condition, what, seconds=WAIT):
    """Polls a condition that another process makes true."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise Failure(f'not within {seconds} s: {what}')
        time.sleep(0.005)


# ---- answers ----

class Answer:
    def __init__(self, status, reason, fields, body):
        self.status, self.reason, self.fields, self.body = status, reason, fields, body

    def __repr__(self):
        return f'{self.status} {self.fields} {self.body!r}'

    def json(self):
        return json.loads(self.body)

    def statuses(self):
        return [result['status'] for result in self.json()['results']]


def result(event_id, status, error=None):
    r = {'id': event_id, 'status': status} if event_id is not None else {'id': None, 'status': status}
    if error is not None:
        r['error'] = error
    return r


def results(*each):
    """The exact body that reports these results."""
    said = [r['status'] for r in each]
    return json.dumps({'accepted': said.count('accepted'), 'duplicate': said.count('duplicate'),
                       'rejected': said.count('rejected'), 'results': list(each)},
                      separators=(',', ':'), ensure_ascii=False).encode()


def error(text):
    return json.dumps({'error': text}, separators=(',', ':')).encode()


def events(prefix, n, **more):
    return [dict({'id': f'{prefix}-{i}', 'type': 't'}, **more) for i in range(n)]


# ---- the client ----

class Client:
    """One connection, with nothing between the test and the bytes."""

    def __init__(self, port, timeout=WAIT):
        self.sock = socket.create_connection(('127.0.0.1', port), timeout)
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass    # it has answered and closed before it read everything

    def fill(self):
        try:
            more = self.sock.recv(65536)
        except socket.timeout:
            raise Failure(f'no answer in time; so far {shown(self.kept)}') from None
        except ConnectionResetError:
            more = b''
        self.kept += more
        return len(more) > 0

    def line_end(self, mark):
        while mark not in self.kept:
            if not self.fill():
                return -1
        return self.kept.index(mark)

    def answer(self, head=False, none_is_fine=False):
        """One whole answer. None when the peer closed before its first byte, if that is fine;
        an answer that breaks off is a failure always."""
        end = self.line_end(b'\r\n\r\n')
        if end < 0:
            if none_is_fine and self.kept == b'':
                return None
            raise Failure(f'closed inside an answer: {shown(self.kept)}')
        lines = self.kept[:end].decode('latin-1').split('\r\n')
        self.kept = self.kept[end + 4:]
        match = re.fullmatch(r'HTTP/1\.1 (\d{3}) (.+)', lines[0])
        check(match, f'not a status line: {lines[0]!r}')
        fields = {}
        for line in lines[1:]:
            name, colon, value = line.partition(': ')
            check(colon and name.lower() not in fields, f'bad or second field: {line!r}')
            fields[name.lower()] = value
        status = int(match[1])
        if status == 100:
            return Answer(status, match[2], fields, b'')
        check('content-length' in fields, f'no length: {lines}')
        length = 0 if head else int(fields['content-length'])
        while len(self.kept) < length:
            check(self.fill(), f'closed inside a body: {shown(self.kept)}')
        body, self.kept = self.kept[:length], self.kept[length:]
        return Answer(status, match[2], fields, body)

    def expect_closed(self, seconds=WAIT):
        """The peer closes and has nothing more to say."""
        self.sock.settimeout(seconds)
        while self.fill():
            pass
        equal(self.kept, b'', 'bytes after the last answer')

    def expect_open(self):
        """Nothing is there to read, not even an end."""
        equal(self.kept, b'', 'bytes ahead')
        ready, _, _ = select.select([self.sock], [], [], 0)
        check(not ready, 'something to read on a connection that should be idle')

    def request(self, method, path, body=None, **fields):
        self.send(request(method, path, body, **fields))
        return self.answer(head=method == 'HEAD')

    def post(self, what, content_type='application/json'):
        return self.request('POST', '/v1/events', encoded(what), content_type=content_type)


def encoded(what):
    return what if isinstance(what, bytes) else json.dumps(what).encode()


def request(method, path, body=None, **fields):
    """The bytes of a request; a field that is None is left out."""
    lines = [f'{method} {path} HTTP/1.1', 'Host: gateway']
    lines += [f'{name.replace("_", "-")}: {value}' for name, value in fields.items()
              if value is not None]
    if body is not None:
        lines.append(f'Content-Length: {len(body)}')
    return '\r\n'.join(lines).encode() + b'\r\n\r\n' + (body or b'')


# ---- the process ----

class Gateway:
    def __init__(self, case, options, limits, environment):
        self.case = case
        self.store = os.path.join(case.folder, f'events{len(case.gateways)}.db')
        self.noise = []     # regular expressions of lines that stderr may hold
        self.err_path = os.path.join(case.folder, f'stderr{len(case.gateways)}')
        argv = [case.program, 'run', '--listen', '127.0.0.1:0', '--store', f'sqlite:{self.store}',
                '--io', case.io, '--workers', '2', *options]

        def limit():
            for which, soft in limits.items():
                resource.setrlimit(which, (soft, resource.getrlimit(which)[1]))

        with open(self.err_path, 'wb') as err:
            # Limits are set between fork and exec; nothing else of the child is Python's.
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                env=dict(os.environ, **environment), preexec_fn=limit if limits else None)
        self.pid = self.process.pid
        self.host, self.port = self.read_url()

    def read_url(self):
        line, end = b'', time.monotonic() + WAIT
        while not line.endswith(b'\n'):
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            piece = os.read(self.process.stdout.fileno(), 4096) if ready else b''
            if not piece:
                self.kill()
                raise Failure(f'did not start: {line!r}, stderr {self.stderr()!r}')
            line += piece
        match = re.fullmatch(rb'tutti-gateway: listening on http://([^\n]+):([1-9]\d*)\n', line)
        check(match, f'first line: {line!r}')
        return match[1].decode(), int(match[2])

    def stderr(self):
        with open(self.err_path, encoding='utf-8', errors='replace') as f:
            return f.read()

    # -- asking it --

    def client(self, timeout=WAIT):
        return Client(self.port, timeout)

    def post(self, what, content_type='application/json'):
        with self.client() as c:
            return c.post(what, content_type)

    def get(self, path):
        with self.client() as c:
            return c.request('GET', path)

    # -- its table --

    def rows(self):
        """id -> (type, ts, tenant, props) of what is committed."""
        with sqlite3.connect(f'file:{self.store}?mode=ro', uri=True, timeout=WAIT) as db:
            found = db.execute('SELECT id, type, ts, tenant, props FROM events').fetchall()
        db.close()
        table = {row[0]: row[1:] for row in found}
        equal(len(table), len(found), 'rows with the same id')
        return table

    def lock(self):
        return Lock(self.store)

    # -- ending it --

    def signal(self, number=signal.SIGTERM):
        check(self.process.poll() is None, f'ended before it was told to: {self.process.returncode}')
        os.kill(self.pid, number)

    def wait(self, seconds=WAIT):
        """Its exit status, negative for a signal; and how long it took."""
        watch = Watch()
        try:
            return self.process.wait(seconds), watch.took()
        except subprocess.TimeoutExpired:
            raise Failure(f'still running after {seconds} s') from None

    def stop(self, seconds=WAIT):
        self.signal()
        status, took = self.wait(seconds)
        equal(status, 0, f'exit status after SIGTERM (stderr {self.stderr()!r})')
        return took

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def check_end(self):
        if self.process.poll() is None:
            self.stop()
        for line in self.stderr().splitlines():
            check(any(re.fullmatch(p, line) for p in self.noise), f'on stderr: {line!r}')
        db = sqlite3.connect(self.store, timeout=WAIT)
        verdict = db.execute('PRAGMA integrity_check').fetchone()[0]
        db.close()
        equal(verdict, 'ok', 'integrity_check')

    def cpu_seconds(self):
        with open(f'/proc/{self.pid}/stat', encoding='ascii') as f:
            fields = f.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Lock:
    """Another writer of the database: while it holds the lock, commits wait and then fail."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, timeout=WAIT, isolation_level=None,
                                  check_same_thread=False)
        self.db.execute('BEGIN IMMEDIATE')

    def release(self):
        if self.db is not None:
            self.db.execute('ROLLBACK')
            self.db.close()
            self.db = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()


# ---- one test ----

class Case:
    """What one test has: a folder, and the gateways that it started."""

    def __init__(self, program, io):
        self.program, self.io = os.path.abspath(program), io
        self.folder = tempfile.mkdtemp(prefix='tutti-gateway-')
        self.gateways, self.threads = [], []

    def gateway(self, *options, limits=None, **environment):
        g = Gateway(self, [str(o) for o in options], limits or {}, environment)
        self.gateways.append(g)
        return g

    def run(self, *arguments, **more):
        """The program with exactly these arguments; it has to end by itself."""
        return subprocess.run([self.program, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=WAIT, check=False,
                              cwd=self.folder, **more)

    def start(self, function, *arguments):
        """Runs a function beside the test; its result is for collect()."""
        box = {}

        def body():
            try:
                box['value'] = function(*arguments)
            except Exception as e:      # pylint: disable=broad-except
                box['raised'] = e       # raised again where it is collected

        thread = threading.Thread(target=body, daemon=True)
        thread.start()
        self.threads.append((thread, box))
        return thread, box

    @staticmethod
    def collect(started, seconds=2 * WAIT):
        thread, box = started
        thread.join(seconds)
        check(not thread.is_alive(), f'a client is still busy after {seconds} s')
        if 'raised' in box:
            raise box['raised']
        return box['value']

    def check_end(self):
        for g in self.gateways:
            g.check_end()

    def clean(self):
        for g in self.gateways:
            g.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
