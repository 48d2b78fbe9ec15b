# SPDX-License-Identifier: MIT
"""stop_tests.py - SIGTERM and SIGINT: in order, in time, and nothing acknowledged is lost."""

import signal
import threading
import time

from harness import check, encoded, equal, events, request, until

CUT = r'tutti-gateway: store: .*'


def stop_when_idle(t):
    """TEST A gateway without work stops at SIGTERM or SIGINT, with status 0, at once."""
    for number in (signal.SIGTERM, signal.SIGINT):
        g = t.gateway()
        g.signal(number)
        status, took = g.wait()
        equal(status, 0, f'status after {number}')
        check(took < 1, f'took {took:.2f} s')


def stop_with_idle_connections(t):
    """TEST Idle keep-alive connections, used or not, do not delay the end."""
    g = t.gateway()
    with g.client() as used, g.client() as unused:
        equal(used.request('GET', '/healthz').status, 200, 'a request')
        took = g.stop()
        check(took < 1, f'took {took:.2f} s')
        used.expect_closed()
        unused.expect_closed()


def stop_while_posting(t):
    """TEST SIGTERM while 20 clients post: no answer is cut, what was acknowledged is stored."""
    g = t.gateway()
    ready = threading.Barrier(21)

    def poster(k):
        acknowledged = set()
        with g.client() as c:
            ready.wait(10)
            for r in range(100000):
                answer = post_or_end(c, events(f'{k}-{r}', 3))
                if answer is None:
                    break
                if answer.status == 200:
                    equal(answer.statuses(), ['accepted'] * 3, f'{k}-{r}')
                    acknowledged |= {x['id'] for x in answer.json()['results']}
                else:
                    equal((answer.status, answer.fields.get('retry-after')), (503, '1'), f'{k}-{r}')
                if answer.fields['connection'] == 'close':
                    c.expect_closed()
                    break
        return acknowledged

    clients = [t.start(poster, k) for k in range(20)]
    ready.wait(10)
    until(lambda: len(g.rows()) > 200, 'some are stored')
    took = g.stop()
    acknowledged = set().union(*(t.collect(c) for c in clients))
    check(len(acknowledged) > 200, f'only {len(acknowledged)} acknowledged')
    lost = acknowledged - set(g.rows())
    check(not lost, f'{len(lost)} acknowledged and not stored: {sorted(lost)[:5]}')
    check(took < 3, f'took {took:.2f} s')


def post_or_end(c, what):
    """The answer, or None when the connection had ended before this request was read."""
    c.send(request('POST', '/v1/events', encoded(what)))
    return c.answer(none_is_fine=True)


def begin_request(c, length):
    """The head of a request, and the word that it was read."""
    c.send(b'POST /v1/events HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n'
           b'Content-Length: %d\r\n\r\n' % length)
    equal(c.answer().status, 100, 'the head was read')


def request_in_hand_is_finished(t):
    """TEST A request that is half sent at SIGTERM is read to its end, answered and stored."""
    g = t.gateway()
    body = b'{"id":"half","type":"t"}'
    with g.client() as c:
        begin_request(c, len(body))
        c.send(body[:9])
        g.signal()
        until(lambda: refuses(g), 'new connections are refused')
        c.send(body[9:])
        answer = c.answer()
        equal((answer.status, answer.statuses(), answer.fields['connection']),
              (200, ['accepted'], 'close'), 'answer')
        c.expect_closed()
    equal(g.wait()[0], 0, 'exit status')
    equal(sorted(g.rows()), ['half'], 'stored')


def refuses(g):
    try:
        g.client(1).close()
        return False
    except OSError:
        return True


def stop_waits_for_a_commit(t):
    """TEST SIGTERM while a commit waits: within the bound it is finished and acknowledged."""
    g = t.gateway('--stop-bound', 8000)
    with g.lock() as lock:
        posts = [t.start(g.post, events(f'w{i}', 2)) for i in range(5)]
        time.sleep(0.3)     # they are in the queue
        g.signal()
        until(lambda: refuses(g), 'new connections are refused')
        lock.release()
        for p in posts:
            answer = t.collect(p)
            equal((answer.status, answer.statuses()), (200, ['accepted'] * 2), 'answer')
    equal(g.wait()[0], 0, 'exit status')
    equal(len(g.rows()), 10, 'rows')


def stop_bound_is_hard(t):
    """TEST SIGTERM while the store is locked: the bound ends it with 0, nothing is acknowledged
    that is not stored; also when the requests have given up long before."""
    for deadline in (5000, 100):
        bound_with_locked_store(t, deadline)


def bound_with_locked_store(t, deadline):
    g = t.gateway('--stop-bound', 500, '--deadline', deadline)
    g.noise = [CUT]
    equal(g.post(events('kept', 3)).statuses(), ['accepted'] * 3, 'before')
    with g.lock():
        posts = [t.start(post_once, g, events(f'c{i}', 2)) for i in range(5)]
        time.sleep(0.3)     # they are in the queue
        g.signal()
        status, took = g.wait()
        equal(status, 0, 'exit status')
        check(took < 1.0, f'took {took:.2f} s, the bound was 0.5')
    acknowledged = {'kept-0', 'kept-1', 'kept-2'}
    for p in posts:
        answer = t.collect(p)
        if answer is not None and answer.status == 200:
            acknowledged |= {r['id'] for r in answer.json()['results']}
    check(acknowledged <= set(g.rows()), f'{acknowledged} of {sorted(g.rows())}')


def post_once(g, what):
    with g.client() as c:
        return post_or_end(c, what)


def stop_bound_of_nothing(t):
    """TEST --stop-bound 0: SIGTERM ends it at once, even with a request half sent."""
    g = t.gateway('--stop-bound', 0)
    with g.client() as c:
        begin_request(c, 100)
        took = g.stop()
        check(took < 1, f'took {took:.2f} s')
        c.expect_closed()


def half_sent_request_is_bounded(t):
    """TEST A request that is never finished holds the end back no longer than the bound."""
    g = t.gateway('--stop-bound', 600)
    with g.client() as c:
        begin_request(c, 100)
        began = time.monotonic()
        took = g.stop()
        check(time.monotonic() - began > 0.5 and took < 1.5, f'took {took:.2f} s, the bound was 0.6')


def second_signal_kills(t):
    """TEST A second signal ends it at once, by that signal; what was acknowledged is stored."""
    g = t.gateway()
    g.noise = [r'.*']
    equal(g.post(events('kept', 3)).statuses(), ['accepted'] * 3, 'before')
    with g.lock():
        posts = [t.start(post_once, g, events(f's{i}', 2)) for i in range(3)]
        time.sleep(0.3)     # they are in the queue
        g.signal()
        until(lambda: refuses(g), 'new connections are refused')
        g.signal()
        status, took = g.wait()
        check(took < 0.5, f'took {took:.2f} s')
        check(status in (-signal.SIGTERM, 128 + signal.SIGTERM), f'status {status}')
    for p in posts:
        equal(t.collect(p), None, 'an answer after the kill')
    equal(sorted(g.rows()), ['kept-0', 'kept-1', 'kept-2'], 'rows')
