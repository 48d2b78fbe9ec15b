# SPDX-License-Identifier: MIT
"""overload_tests.py - a store that is slow, locked or full; too many clients."""

import os
import resource
import select
import socket
import time

from harness import WAIT, Watch, check, equal, error, events, result, results, until

LOCKED = r'tutti-gateway: store: .*locked.*'
NO_SPACE = r'tutti-gateway: store: .*'
WORKS = 'tutti-gateway: store: works again'


def is_later(answer, body, what):
    equal((answer.status, answer.body, answer.fields.get('retry-after')), (503, body, '1'), what)


def post_beside(t, g, what):
    return t.start(g.post, what)


def queue_full_is_503(t):
    """TEST Events beyond the queue are refused at once with 503; those in it are stored."""
    g = t.gateway('--queue-events', 10, '--events-max', 5)
    with g.lock() as lock:
        waiting = [post_beside(t, g, events(f'w{i}', 5)) for i in range(2)]
        full = error('the queue is full; nothing of this request was stored')
        watch = Watch()
        # Until both are in the queue, one more event may still find room and wait there.
        probes = []

        def refused():
            probe = post_beside(t, g, events(f'probe{len(probes)}', 1))
            probes.append(probe)
            probe[0].join(0.2)
            return not probe[0].is_alive() and t.collect(probe).status == 503

        until(refused, 'the queue is full', 1.5)
        for i in range(20):
            is_later(g.post(events(f'over{i}', 5)), full, 'a request beyond the queue')
        check(watch.took() < 1.9, 'refused at once, not after a wait')
        equal(g.get('/healthz').status, 200, 'healthz')
        equal(g.get('/v1/events/none').status, 404, 'reading goes on')
        lock.release()
        accepted = {r['id'] for s in waiting for r in results_of(t.collect(s))
                    if r['status'] == 'accepted'}
        for probe in probes:
            answer = t.collect(probe)
            if answer.status == 200:
                accepted |= {r['id'] for r in results_of(answer)}
    check(len(accepted) >= 5, f'accepted: {accepted}')
    equal(set(g.rows()), accepted, 'stored is what was accepted')
    equal(g.post(events('later', 5)).statuses(), ['accepted'] * 5, 'room again')


def results_of(answer):
    return answer.json().get('results', [])


def locked_store_is_503(t):
    """TEST A store that stays locked: 503, nothing stored, not ready; then all is well again."""
    g = t.gateway('--deadline', 30000)  # the verdict comes first, however many commits it takes
    g.noise = [LOCKED, WORKS]
    failed = error('the store failed; nothing of this request was stored')
    with g.lock():
        started = [post_beside(t, g, events(f'f{i}', 3)) for i in range(4)]
        for s in started:
            is_later(t.collect(s), failed, 'locked')
        is_later(g.get('/readyz'), error('the last commit failed'), 'readyz')
        equal(g.get('/healthz').status, 200, 'healthz')
    equal(g.rows(), {}, 'stored')
    equal(g.post(events('f0', 3)).statuses(), ['accepted'] * 3, 'unlocked')
    equal(g.get('/readyz').status, 200, 'readyz')
    equal(len(g.rows()), 3, 'rows')
    check('works again' in g.stderr(), f'stderr: {g.stderr()!r}')


def deadline_before_a_commit_is_unknown(t):
    """TEST A verdict that does not come in time is unknown; sending again settles it, once."""
    g = t.gateway('--deadline', 200)
    sent = events('u', 3)
    unknown = results(*(result(f'u-{i}', 'unknown') for i in range(3)))
    with g.lock():
        began, watch = time.monotonic(), Watch()
        is_later(g.post(sent), unknown, 'blocked')
        check(time.monotonic() - began > 0.18 and watch.took() < 1.5,
              f'unknown after {watch.took():.3f} s, not about 0.2')
    answer = until(lambda: settled(g.post(sent)), 'a verdict after the lock is gone')
    equal(answer.status, 200, 'sent again')
    check(set(answer.statuses()) <= {'accepted', 'duplicate'}, f'statuses {answer.statuses()}')
    equal(sorted(g.rows()), ['u-0', 'u-1', 'u-2'], 'rows')


def settled(answer):
    return answer if answer.status == 200 else None


def deadline_then_failed_commit(t):
    """TEST Unknown, and then the commit failed: sending again says accepted, once in the table."""
    g = t.gateway('--deadline', 100)
    g.noise = [LOCKED, WORKS]
    with g.lock():
        equal(g.post(events('n', 2)).statuses(), ['unknown'] * 2, 'blocked')
        until(lambda: g.get('/readyz').status == 503, 'the commit fails')
    equal(g.rows(), {}, 'rows after the failure')
    equal(until(lambda: settled(g.post(events('n', 2))), 'unlocked').statuses(), ['accepted'] * 2,
          'sent again')
    equal(sorted(g.rows()), ['n-0', 'n-1'], 'rows')


def rejected_and_unknown(t):
    """TEST In an answer without verdict rejected events are still told as rejected."""
    g = t.gateway('--deadline', 100)
    with g.lock():
        answer = g.post([{'id': 'bad'}, {'id': 'good', 'type': 't'}])
        is_later(answer, results(result('bad', 'rejected', 'events[0].type: missing'),
                                 result('good', 'unknown')), 'blocked')
    until(lambda: sorted(g.rows()) == ['good'], 'the good one is stored after all')


def set_file_size(g, size):
    hard = resource.prlimit(g.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(g.pid, resource.RLIMIT_FSIZE, (size, hard))


def full_disk_is_503(t):
    """TEST No room for a commit: 503 and not ready, what is stored stays; room again: all well."""
    g = t.gateway()
    g.noise = [NO_SPACE]
    accepted, refused = set(), set()
    accepted |= {r['id'] for r in results_of(g.post(events('first', 10)))}
    set_file_size(g, max(os.path.getsize(g.store), os.path.getsize(g.store + '-wal')) + 60000)
    pad = {'p': 'x' * 2000}
    for i in range(200):
        answer = g.post(events(f'd{i}', 10, props=pad))
        if answer.status == 503:
            check('retry-after' in answer.fields, 'Retry-After')
            if 'results' in answer.json():
                equal(answer.statuses(), ['unknown'] * 10, 'the other kind of 503')
            else:
                equal(answer.json()['error'], 'the store failed; nothing of this request was stored',
                      'error')
                refused |= {f'd{i}-{k}' for k in range(10)}
            break
        accepted |= {r['id'] for r in results_of(answer)}
    else:
        check(False, 'the disk was never full')
    equal(g.get('/readyz').status, 503, 'readyz')
    # The store's repair may have found room in its own files: now none of them may be written.
    set_file_size(g, 16)
    equal(g.get('/v1/events/first-3').status, 200, 'reading goes on')
    for i in range(3):
        answer = g.post(events(f'e{i}', 10, props=pad))
        equal(answer.status, 503, f'still full, post {i}')
        if 'results' not in answer.json():
            refused |= {f'e{i}-{k}' for k in range(10)}
    equal(g.get('/readyz').status, 503, 'readyz')
    check(not refused & set(g.rows()), 'nothing of a 503 is stored')
    check(accepted <= set(g.rows()), 'what was accepted is stored')
    set_file_size(g, resource.RLIM_INFINITY)
    answer = g.post(events('again', 10, props=pad))
    equal((answer.status, answer.statuses()), (200, ['accepted'] * 10), 'room again')
    equal(g.get('/readyz').status, 200, 'readyz')
    check(not refused & set(g.rows()), 'nothing of a 503 is stored later')


def connections_beyond_the_bound_wait(t):
    """TEST With --connections-max 2 a third client waits until one of the two leaves."""
    g = t.gateway('--connections-max', 2)
    first, second, third = g.client(), g.client(), g.client()
    try:
        equal(first.request('GET', '/healthz').status, 200, 'first')
        equal(second.request('GET', '/healthz').status, 200, 'second')
        third.send(b'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
        ready, _, _ = select.select([third.sock], [], [], 0.3)
        check(not ready, 'the third was served beside two')
        first.close()
        equal(third.answer().status, 200, 'third')
    finally:
        for c in (first, second, third):
            c.close()


def connect_all(port, n):
    """n connections, begun and not waited for: some stay in the kernel's queue."""
    socks = []
    for _ in range(n):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(('127.0.0.1', port))
        socks.append(s)
    return socks


def no_descriptors_left(t):
    """TEST 200 clients and 64 descriptors: no spin, alive, and serving again when they leave."""
    g = t.gateway('--idle-timeout', 60000, limits={resource.RLIMIT_NOFILE: 64})
    g.noise = [r'.*']
    equal(g.post(events('before', 1)).statuses(), ['accepted'], 'before')
    socks = connect_all(g.port, 200)
    try:
        until(lambda: len(os.listdir(f'/proc/{g.pid}/fd')) >= 62, 'the descriptors are used up')
        time.sleep(0.3)     # the burst of accepts is over
        before = g.cpu_seconds()
        time.sleep(2)       # the span that is measured
        used = g.cpu_seconds() - before
        check(used < 0.2, f'{used:.2f} s of CPU in 2 s of waiting')
        check(g.process.poll() is None, f'it ended: {g.stderr()!r}')
    finally:
        for s in socks:
            s.close()
    watch = Watch()
    equal(g.post(events('after', 1)).statuses(), ['accepted'], 'after')
    check(watch.took() < 3, 'serves again soon')
    check(len(g.stderr()) < 4096, f'stderr grows: {g.stderr()[:1000]!r}')


def idle_costs_nothing(t):
    """TEST A gateway with 100 idle connections uses no CPU time."""
    g = t.gateway()
    socks = connect_all(g.port, 100)
    try:
        equal(g.get('/healthz').status, 200, 'all are accepted')
        before = g.cpu_seconds()
        time.sleep(1.5)     # the span that is measured
        used = g.cpu_seconds() - before
        check(used < 0.1, f'{used:.2f} s of CPU in 1.5 s of idling')
    finally:
        for s in socks:
            s.close()


def answers_that_nobody_reads(t):
    """TEST Clients that send and never read do not stop others from being served."""
    g = t.gateway()
    deaf = connect_all(g.port, 20)
    try:
        end = time.monotonic() + WAIT
        for s in deaf:
            select.select([], [s], [], WAIT)
            blob = b'GET /v1/events/none HTTP/1.1\r\nHost: a\r\n\r\n' * 2000
            try:
                while blob and time.monotonic() < end:
                    blob = blob[s.send(blob):]
            except BlockingIOError:
                pass
        for i in range(10):
            equal(g.post(events(f'ok{i}', 1)).statuses(), ['accepted'], f'post {i}')
    finally:
        for s in deaf:
            s.close()
