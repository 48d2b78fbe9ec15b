#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""kill9.py - what the gateway has acknowledged is stored once, whenever it is killed.

kill9.py --gateway build/dev/bin/tutti-gateway [--cycles 40] [--seed N]

Producers post batches with ids of their own and keep a ledger: an id is acknowledged when a
2xx answer calls it accepted or duplicate. Each cycle kills the gateway once at least 500 ids
were acknowledged in it: every second time inside a commit, else after a random time or
just before a commit, just after one, or just before an answer (TUTTI_CRASH_AT; the gateway
then kills itself with SIGKILL at the n-th passage). It is started again on the same file, must be
ready in time, and is compared with the ledger:
  lost        acknowledged and not in the database
  duplicated  two rows with the same producer and sequence number, whatever their ids
What was not acknowledged is sent again first. The answer must be "duplicate" for what the
database holds already and "accepted" for what it does not.

The seed is printed; it fixes the kind and place of each kill, not the interleaving. Exit 0
when nothing was lost or duplicated, 1 otherwise, 2 on misuse.
"""

import argparse
import http.client
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

ACKNOWLEDGED_MIN = 500
POINTS = ('before_commit', 'in_commit', 'after_commit', 'before_ack')
CYCLE_SECONDS = 60      # a cycle that takes longer has hung
RERUNS = 5              # cycles that died before 500 acknowledgements are run again


class Failure(Exception):
    pass


class Ledger:
    """What each producer sent and what it was promised."""

    def __init__(self, run):
        self.run = run
        self.lock = threading.Lock()
        self.next = {}              # producer -> next sequence number
        self.acknowledged = set()   # ids
        self.unanswered = {}        # id -> event: sent, and no promise yet
        self.in_cycle = 0           # acknowledgements since the last start
        self.wrong = []             # answers that contradict the ledger

    def new_event(self, producer):
        with self.lock:
            number = self.next.get(producer, 0)
            self.next[producer] = number + 1
            # Scattered ids, so that commits touch pages all over the index.
            scatter = (number * 2654435761 + producer * 40503) % 2 ** 32
            event = {'id': f'{scatter:08x}-{self.run}-{producer}-{number}', 'type': 'kill9',
                     'ts': '2026-01-02T03:04:05Z',
                     'props': {'producer': producer, 'seq': number,
                               'pad': 'x' * (number * 37 % 400)}}
            self.unanswered[event['id']] = event
            return event

    def answer(self, event, status, expected):
        """Enters one result; expected is what the answer must say, or None."""
        with self.lock:
            if status not in ('accepted', 'duplicate'):
                if status != 'unknown':
                    self.wrong.append(f"{event['id']}: status {status}")
                return
            if expected and status != expected:
                self.wrong.append(f"{event['id']}: said {status}, was {expected}")
            self.acknowledged.add(event['id'])
            self.unanswered.pop(event['id'], None)
            self.in_cycle += 1


class Gateway:
    def __init__(self, program, database, crash_at, log):
        environment = {k: v for k, v in os.environ.items() if k != 'TUTTI_CRASH_AT'}
        if crash_at:
            environment['TUTTI_CRASH_AT'] = crash_at
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            [program, 'run', '--listen', '127.0.0.1:0', '--store', 'sqlite:' + database],
            stdout=subprocess.PIPE, stderr=log, env=environment, text=True)
        try:
            self.port = self._read_port()
        except Failure:
            self.kill()
            raise

    def _read_port(self):
        # The line comes once the store is open; a watchdog ends a start that hangs.
        watchdog = threading.Timer(CYCLE_SECONDS, self.process.kill)
        watchdog.start()
        try:
            for line in self.process.stdout:
                m = re.search(r'listening on http://127\.0\.0\.1:(\d+)', line)
                if m:
                    # Nobody reads on: let what follows go nowhere, not fill the pipe.
                    threading.Thread(target=self.process.stdout.read, daemon=True).start()
                    return int(m.group(1))
        finally:
            watchdog.cancel()
        raise Failure(f'the gateway ended with {self.process.wait()} before it listened')

    def wait_ready(self):
        """Seconds from the start of the process to the first 200."""
        deadline = self.begun + CYCLE_SECONDS
        while time.monotonic() < deadline:
            try:
                status, _ = request(self.port, 'GET', '/readyz')
                if status == 200:
                    return time.monotonic() - self.begun
            except (OSError, http.client.HTTPException):
                pass
            if self.process.poll() is not None:
                raise Failure(f'the gateway ended with {self.process.returncode}, never ready')
            time.sleep(0.002)
        raise Failure('the gateway did not become ready')

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def is_dead(self):
        return self.process.poll() is not None


def request(port, method, path, body=None, kind=None, connection=None):
    own = connection is None
    if own:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    try:
        connection.request(method, path, body, {'Content-Type': kind} if kind else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        if own:
            connection.close()


def encode(events, as_array):
    """One event a line either way; a JSON array or NDJSON."""
    lines = [json.dumps(event) for event in events]
    if as_array:
        return '[\n' + ',\n'.join(lines) + '\n]', 'application/json'
    return '\n'.join(lines) + '\n', 'application/x-ndjson'


def post(connection, ledger, events, as_array, expected=None):
    """True when the gateway answered for the whole batch. expected: id -> status, or None."""
    body, kind = encode(events, as_array)
    status, answer = request(0, 'POST', '/v1/events', body, kind, connection)
    if status == 503:
        time.sleep(0.01)
        return False
    if status != 200:
        raise Failure(f'POST answered {status}: {answer[:200]!r}')
    results = json.loads(answer)['results']
    if [r['id'] for r in results] != [e['id'] for e in events]:
        raise Failure('the results are not in the order of the events')
    for event, result in zip(events, results):
        ledger.answer(event, result['status'], expected and expected[event['id']])
    return True


def produce(number, port, ledger, stop, batch, failures):
    """Posts new batches until told to stop; a connection that breaks ends it."""
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=10)
    turn, events = 0, None
    try:
        while not stop.is_set():
            turn += 1
            if events is None:
                events = [ledger.new_event(number) for _ in range(batch)]
            if post(connection, ledger, events, turn % 2):
                events = None
    except (OSError, http.client.HTTPException):
        pass                    # killed: what was sent stays unanswered
    except (Failure, ValueError, KeyError) as e:
        failures.append(f'producer {number}: {e}')
    finally:
        connection.close()


def stored(database):
    """The ids in the database, read while the gateway runs."""
    db = sqlite3.connect(f'file:{database}?mode=ro', uri=True, timeout=10)
    try:
        return {row[0] for row in db.execute('SELECT id FROM events NOT INDEXED')}
    finally:
        db.close()


def count_duplicated(database):
    """Rows too many, by what is in them, not by their key; and SQLite's own opinion."""
    db = sqlite3.connect(f'file:{database}?mode=ro', uri=True, timeout=10)
    try:
        rows, distinct = db.execute(
            "SELECT count(*), count(DISTINCT json_extract(props, '$.producer') || '/' || "
            "json_extract(props, '$.seq')) FROM events NOT INDEXED").fetchone()
        sound = db.execute('PRAGMA integrity_check(1)').fetchone()[0]
        if sound != 'ok':
            raise Failure(f'integrity_check: {sound}')
        return rows - distinct
    finally:
        db.close()


def resend(gateway, ledger, present, batch):
    """Sends what was never answered for; each answer must fit what the database held."""
    with ledger.lock:
        events = list(ledger.unanswered.values())
    expected = {e['id']: 'duplicate' if e['id'] in present else 'accepted' for e in events}
    connection = http.client.HTTPConnection('127.0.0.1', gateway.port, timeout=10)
    deadline = time.monotonic() + CYCLE_SECONDS
    try:
        for turn, i in enumerate(range(0, len(events), batch)):
            while not post(connection, ledger, events[i:i + batch], turn % 2, expected):
                if time.monotonic() > deadline:
                    raise Failure('the gateway answers 503 for ever')
    finally:
        connection.close()


class Plan:
    """How cycle i dies: an odd one inside a commit."""

    def __init__(self, rng, cycle, batch, scale):
        kind = 'in_commit' if cycle % 2 else rng.choice(
            ['time', 'time', 'time', 'before_commit', 'after_commit', 'before_ack'])
        self.point = kind if kind in POINTS else None
        self.delay = rng.uniform(0, 0.15)
        if self.point is None:
            self.crash_at = None
            return
        # A batch makes at least one passage, unless the gateway joins several into a commit.
        passages = int(scale * (ACKNOWLEDGED_MIN // batch + 2)) + rng.randrange(30)
        if self.point == 'in_commit':
            passages = 3 * passages + rng.randrange(3)
        self.crash_at = f'{self.point}:{passages}'


def load_until_death(gateway, plan, ledger, options, failures):
    """Runs the producers until the gateway is dead. True when it died at its crash point."""
    stop = threading.Event()
    producers = [threading.Thread(target=produce, args=(
        n, gateway.port, ledger, stop, options.batch, failures)) for n in range(options.producers)]
    for p in producers:
        p.start()
    deadline = time.monotonic() + (options.point_seconds if plan.point else CYCLE_SECONDS)
    while time.monotonic() < deadline and not gateway.is_dead() and not failures:
        if plan.point is None and ledger.in_cycle >= ACKNOWLEDGED_MIN:
            time.sleep(plan.delay)
            break
        time.sleep(0.002)
    at_point = gateway.is_dead()
    gateway.kill()
    stop.set()
    for p in producers:
        p.join()
    if at_point and gateway.process.returncode != -signal.SIGKILL:
        raise Failure(f'the gateway ended by itself with {gateway.process.returncode}')
    return at_point


class Trial:
    def __init__(self, options):
        self.options = options
        self.rng = random.Random(options.seed)
        self.ledger = Ledger(f'{options.seed:x}')
        self.database = os.path.join(options.folder, 'events.db')
        self.failures = []
        self.lost = set()
        self.duplicated = 0
        self.restart_max = 0.0
        self.at_points = {p: 0 for p in POINTS}
        self.least = None
        self.scale = 1.0
        self.reruns = 0

    def start(self, crash_at, log):
        gateway = Gateway(self.options.gateway, self.database, crash_at, log)
        try:
            self.restart_max = max(self.restart_max, gateway.wait_ready())
            present = stored(self.database)
            with self.ledger.lock:
                self.lost |= self.ledger.acknowledged - present
            self.ledger.in_cycle = 0
            resend(gateway, self.ledger, present, self.options.batch)
        except (OSError, http.client.HTTPException, Failure):
            if not gateway.is_dead():
                gateway.kill()
                raise
            if gateway.process.returncode != -signal.SIGKILL or not crash_at:
                raise
            # Its crash point came while it was still being told the rest: that is a kill too.
        return gateway

    def cycle(self, number, log):
        plan = Plan(self.rng, number, self.options.batch, self.scale)
        gateway = self.start(plan.crash_at, log)
        at_point = load_until_death(gateway, plan, self.ledger, self.options, self.failures)
        self.check()
        if self.ledger.in_cycle < ACKNOWLEDGED_MIN:
            self.reruns += 1
            self.scale *= 2
            if self.reruns > RERUNS:
                raise Failure(f'cycle {number} ({plan.crash_at}): only {self.ledger.in_cycle} '
                              f'acknowledged, {RERUNS} reruns used up')
            return False
        if plan.point and at_point:
            self.at_points[plan.point] += 1
        self.least = min(self.least or self.ledger.in_cycle, self.ledger.in_cycle)
        return True

    def check(self):
        if self.failures:
            raise Failure(self.failures[0])
        if self.ledger.wrong:
            raise Failure(f'{len(self.ledger.wrong)} wrong answers, first: {self.ledger.wrong[0]}')
        if self.lost:
            raise Failure(f'{len(self.lost)} acknowledged events lost, such as {min(self.lost)}')

    def run(self, log):
        done = 0
        while done < self.options.cycles:
            done += self.cycle(done, log)
        # The last kill is followed by a start as well, and by a look at every row.
        gateway = self.start(None, log)
        self.check()
        self.ask_for_some(gateway)
        gateway.kill()
        self.start(None, log).kill()
        self.check()
        self.duplicated = count_duplicated(self.database)

    def ask_for_some(self, gateway):
        """What is in the file is also what the gateway says."""
        some = self.rng.sample(sorted(self.ledger.acknowledged), 50)
        for name in some:
            status, _ = request(gateway.port, 'GET', '/v1/events/' + name)
            if status != 200:
                raise Failure(f'GET /v1/events/{name} answered {status}')

    def verdict(self):
        wanted = self.options.cycles // 2
        if self.duplicated:
            return f'{self.duplicated} events are stored twice'
        if self.restart_max > self.options.restart_max:
            return f'a restart took {self.restart_max:.3f} s'
        if not self.options.no_points and self.at_points['in_commit'] < wanted:
            return (f"only {self.at_points['in_commit']} of {wanted} kills were inside a commit: "
                    'is TUTTI_CRASH_AT wired in this build?')
        return None


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    p.add_argument('--gateway', required=True, help='the tutti-gateway program')
    p.add_argument('--cycles', type=int, default=40)
    p.add_argument('--seed', type=int, default=None, help='default: the clock')
    p.add_argument('--producers', type=int, default=4)
    p.add_argument('--batch', type=int, default=40, help='events a request')
    p.add_argument('--restart-max', type=float, default=2.0, help='seconds')
    p.add_argument('--point-seconds', type=float, default=20.0,
                   help='how long to wait for a crash point before killing from outside')
    p.add_argument('--no-points', action='store_true',
                   help='the build has no crash points: kills at random times count')
    p.add_argument('--folder', default=None, help='keep database and log here')
    options = p.parse_args()
    if options.seed is None:
        options.seed = int(time.time() * 1000) % 2 ** 32
    if options.cycles < 1 or not 1 <= options.batch <= 1000 or options.producers < 1:
        p.error('cycles, batch (at most 1,000) and producers are at least 1')
    return options


def main():
    options = arguments()
    own_folder = options.folder is None
    options.folder = options.folder or tempfile.mkdtemp(prefix='tutti-kill9-')
    os.makedirs(options.folder, exist_ok=True)
    print(f'kill9: seed {options.seed}', flush=True)
    trial = Trial(options)
    log_path = os.path.join(options.folder, 'gateway.log')
    problem = None
    with open(log_path, 'ab') as log:
        try:
            trial.run(log)
        except (Failure, OSError, http.client.HTTPException, sqlite3.Error) as e:
            problem = f'{type(e).__name__}: {e}'
    problem = problem or trial.verdict()
    points = ' '.join(f'{p} {n}' for p, n in trial.at_points.items())
    print(f'kill9: cycles {options.cycles} acknowledged {len(trial.ledger.acknowledged)} '
          f'lost {len(trial.lost)} duplicated {trial.duplicated} '
          f'restart max {trial.restart_max * 1000:.0f} ms '
          f'(least {trial.least or 0} a cycle; {points}; reruns {trial.reruns})')
    if problem:
        print(f'kill9: FAILED: {problem} (seed {options.seed}, kept in {options.folder})')
        return 1
    if own_folder:
        shutil.rmtree(options.folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
