# SPDX-License-Identifier: MIT
"""http_tests.py - the protocol: forms that are refused, and clients that are slow."""

import re
import time

from harness import Failure, Watch, check, equal, events, result, results, until

HOST = b'Host: a\r\n'
POST = b'POST /v1/events HTTP/1.1\r\n'

MALFORMED = (
    # name, bytes, what the answer says
    ('obs-fold', b'GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n', 'folded field'),
    ('fold in front', b'GET / HTTP/1.1\r\n X: 1\r\nHost: a\r\n\r\n', 'folded field'),
    ('bare LF after the line', b'GET / HTTP/1.1\nHost: a\r\n\r\n', 'LF without CR'),
    ('bare LF after a field', b'GET / HTTP/1.1\r\nHost: a\n\r\n', 'LF without CR'),
    ('bare LF at the end', b'GET / HTTP/1.1\r\nHost: a\r\n\n', ''),
    ('bare CR', b'GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n', 'CR without LF'),
    ('CL and TE', POST + HOST + b'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
     'both Content-Length and Transfer-Encoding'),
    ('TE and CL', POST + HOST + b'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n',
     'both Content-Length and Transfer-Encoding'),
    ('two equal lengths', POST + HOST + b'Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc',
     'second Content-Length'),
    ('two lengths', POST + HOST + b'Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
     'second Content-Length'),
    ('a list of lengths', POST + HOST + b'Content-Length: 3, 3\r\n\r\nabc', 'not a number'),
    ('length +3', POST + HOST + b'Content-Length: +3\r\n\r\nabc', 'not a number'),
    ('length -1', POST + HOST + b'Content-Length: -1\r\n\r\n', 'not a number'),
    ('length 0x3', POST + HOST + b'Content-Length: 0x3\r\n\r\nabc', 'not a number'),
    ('length 3x', POST + HOST + b'Content-Length: 3x\r\n\r\nabc', 'not a number'),
    ('no length', POST + HOST + b'Content-Length:\r\n\r\n', 'empty Content-Length'),
    ('length of 2^64', POST + HOST + b'Content-Length: 18446744073709551616\r\n\r\n',
     'does not fit in 64 bits'),
    ('gzip', POST + HOST + b'Transfer-Encoding: gzip\r\n\r\n', 'is not "chunked"'),
    ('gzip, chunked', POST + HOST + b'Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
     'is not "chunked"'),
    ('chunked, chunked', POST + HOST + b'Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n',
     'is not "chunked"'),
    ('xchunked', POST + HOST + b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', 'is not "chunked"'),
    ('TE twice', POST + HOST + b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
     'second Transfer-Encoding'),
    ('TE in HTTP/1.0', b'POST /v1/events HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
     'Transfer-Encoding in HTTP/1.0'),
    ('no Host', b'GET / HTTP/1.1\r\n\r\n', 'no Host'),
    ('two Hosts', b'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 'second Host'),
    ('a bad Host', b'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 'Host is not a host name'),
    ('control byte in a name', b'GET / HTTP/1.1\r\nHost: a\r\nX\x01Y: 1\r\n\r\n', 'byte 0x01'),
    ('NUL in a name', b'GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n', 'byte 0x00'),
    ('byte 0xff in a name', b'GET / HTTP/1.1\r\nHost: a\r\nX\xff: 1\r\n\r\n', 'byte 0xff'),
    ('space before the colon', b'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 'whitespace'),
    ('an empty name', b'GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n', 'empty field name'),
    ('NUL in a value', b'GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n', 'byte 0x00'),
    ('two spaces in the line', b'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', ''),
    ('no version', b'GET /\r\nHost: a\r\n\r\n', 'no HTTP version'),
    ('a broken escape', b'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n', 'broken percent-escape'),
    ('a TLS hello', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 'byte 0x16'),
    ('a chunk longer than its size',
     POST + HOST + b'Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n', 'longer than its size'),
    ('a bad chunk size', POST + HOST + b'Transfer-Encoding: chunked\r\n\r\nxyz\r\n', ''),
    ('a chunk size of 2^64', POST + HOST + b'Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n',
     'does not fit in 64 bits'),
    ('bare LF after a chunk size', POST + HOST + b'Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n',
     ''),
)


def malformed_http_is_400_and_closed(t):
    """TEST Each malformed form is answered 400, says why, and nothing after it is read."""
    g = t.gateway()
    for name, data, why in MALFORMED:
        with g.client() as c:
            c.send(data + b'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\n'
                   b'{"type":"t","id":"smuggled"}')
            answer = c.answer()
            equal((answer.status, answer.reason, answer.fields['connection']),
                  (400, 'Bad Request', 'close'), f'{name} ({answer.body!r})')
            text = answer.body.decode()
            check(text.startswith('400 Bad Request: ') and why in text, f'{name}: {text!r}')
            c.expect_closed()
    equal(g.get('/healthz').status, 200, 'afterwards')
    equal(g.rows(), {}, 'stored')


OTHER_REFUSALS = (
    (b'FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n', 501),
    (b'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505),
    (b'GET /' + b'x' * 9000 + b' HTTP/1.1\r\nHost: a\r\n\r\n', 414),
    (b'GET / HTTP/1.1\r\nHost: a\r\nX: ' + b'y' * 17000 + b'\r\n\r\n', 431),
    (b'GET / HTTP/1.1\r\nHost: a\r\n' + b'X: 1\r\n' * 100 + b'\r\n', 431),
    (POST + HOST + b'Content-Length: 2\r\nExpect: more\r\n\r\n', 417),
)


def other_refusals(t):
    """TEST Unknown methods and versions, and heads that are too large, have their statuses."""
    g = t.gateway()
    for data, status in OTHER_REFUSALS:
        with g.client() as c:
            c.send(data)
            answer = c.answer()
            equal((answer.status, answer.fields['connection']), (status, 'close'), f'{data[:40]!r}')
            c.expect_closed()
    with g.client() as c:
        c.send(b'GET /healthz HTTP/1.1\r\nHost: a\r\n' + b'X: 1\r\n' * 99 + b'\r\n')
        equal(c.answer().status, 200, '100 fields')


def good_then_malformed(t):
    """TEST A good request before a malformed one is answered and stored; the bad one ends it."""
    g = t.gateway()
    with g.client() as c:
        body = b'{"id":"g","type":"t"}'
        c.send(POST + HOST + b'Content-Length: %d\r\n\r\n' % len(body) + body
               + b'GET / HTTP/1.1\nHost: a\r\n\r\n')
        equal(c.answer().body, results(result('g', 'accepted')), 'good')
        equal(c.answer().status, 400, 'malformed')
        c.expect_closed()
    equal(sorted(g.rows()), ['g'], 'stored')


def keep_alive_and_close(t):
    """TEST HTTP/1.1 stays unless told otherwise; 1.0 closes unless told otherwise."""
    g = t.gateway()
    for line, field, stays in ((b'1.1', b'', True), (b'1.1', b'Connection: close\r\n', False),
                               (b'1.0', b'', False), (b'1.0', b'Connection: keep-alive\r\n', True)):
        with g.client() as c:
            for turn in range(2):
                c.send(b'GET /healthz HTTP/' + line + b'\r\n' + HOST + field + b'\r\n')
                answer = c.answer()
                equal((answer.status, answer.fields['connection']),
                      (200, 'keep-alive' if stays else 'close'), f'{line} {field} turn {turn}')
                if not stays:
                    c.expect_closed()
                    break


def hundred_continue(t):
    """TEST A client that asks is told to go on before it sends its body; a 413 comes instead."""
    g = t.gateway('--body-max', 100)
    body = b'{"id":"e","type":"t"}'
    ask = POST + HOST + b'Expect: 100-continue\r\nContent-Length: %d\r\n\r\n'
    with g.client() as c:
        c.send(ask % len(body))
        equal(c.answer().status, 100, 'first')
        c.expect_open()
        c.send(body)
        equal(c.answer().body, results(result('e', 'accepted')), 'second')
        c.send(ask % 101)
        equal(c.answer().status, 413, 'too large')
        c.expect_closed()


def byte_by_byte(t):
    """TEST A request that comes in single bytes is the same request."""
    g = t.gateway()
    body = b'{"id":"b","type":"t"}'
    with g.client() as c:
        for byte in POST + HOST + b'Content-Length: %d\r\n\r\n' % len(body) + body:
            c.send(bytes([byte]))
        equal(c.answer().body, results(result('b', 'accepted')), 'answer')


def header_deadline(t):
    """TEST A head that is not whole in time is a 408 and the end, however it dribbles."""
    g = t.gateway('--header-timeout', 300)
    with g.client() as c:
        began, watch = time.monotonic(), Watch()
        c.sock.settimeout(0.04)
        data = POST + HOST + b'X: ' + b'y' * 500
        for i in range(len(data)):
            c.send(data[i:i + 1])
            try:
                if not c.fill() or c.kept:
                    break
            except Failure:
                pass    # nothing yet: the next byte
        took = time.monotonic() - began
        c.sock.settimeout(5)
        answer = c.answer()
        equal((answer.status, answer.fields['connection']), (408, 'close'), 'answer')
        check(took >= 0.25 and watch.took() < 2, f'came after {took:.3f} s, not about 0.3')
        c.expect_closed()


def header_deadline_is_per_request(t):
    """TEST The time between requests does not count for the head of the next one."""
    g = t.gateway('--header-timeout', 300)
    with g.client() as c:
        for _ in range(3):
            equal(c.request('GET', '/healthz').status, 200, 'a request')
            time.sleep(0.4)     # longer than a head may take
        c.expect_open()


def idle_timeout(t):
    """TEST A connection that is silent for too long is closed without a word, used or not."""
    g = t.gateway('--idle-timeout', 300)
    for used in (False, True):
        with g.client() as c:
            if used:
                equal(c.request('GET', '/healthz').status, 200, 'a request')
            began, watch = time.monotonic(), Watch()
            c.expect_closed()
            took = time.monotonic() - began
            check(took >= 0.25 and watch.took() < 2, f'closed after {took:.3f} s, not about 0.3')


def vanished_clients(t):
    """TEST Clients that vanish inside a head, a body, or before their answer disturb nobody."""
    g = t.gateway()
    body = b'{"id":"v","type":"t"}'
    whole = POST + HOST + b'Content-Length: %d\r\n\r\n' % len(body) + body
    for cut in (0, 1, 20, len(whole) - 5, len(whole)):
        for _ in range(10):
            with g.client() as c:
                c.send(whole[:cut])
    equal(g.post(events('after', 1)).statuses(), ['accepted'], 'afterwards')
    until(lambda: 'v' in g.rows(), 'a whole request is served, also if nobody waits for it')


def half_closed_client(t):
    """TEST A client that ends its side after its request still gets its answer."""
    g = t.gateway()
    body = b'{"id":"h","type":"t"}'
    with g.client() as c:
        c.send(POST + HOST + b'Content-Length: %d\r\n\r\n' % len(body) + body)
        c.sock.shutdown(1)
        equal(c.answer().body, results(result('h', 'accepted')), 'answer')
        c.expect_closed()


def slow_loris(t):
    """TEST 200 connections of one byte disturb nobody, and are all shed in time."""
    g = t.gateway('--header-timeout', 1500)
    loris = [g.client() for _ in range(200)]
    try:
        for c in loris:
            c.send(b'P')
        watch = Watch()
        with g.client() as good:
            for i in range(20):
                equal(good.post({'id': f's-{i}', 'type': 't'}).statuses(), ['accepted'], f'post {i}')
        took = watch.took()
        check(took < 1.4, f'20 posts took {took:.2f} s beside them')
        for c in loris:
            answer = c.answer()
            equal((answer.status, answer.fields['connection']), (408, 'close'), 'a loris')
            c.expect_closed()
        took = watch.took()
        check(took < 5, f'shed after {took:.2f} s')
    finally:
        for c in loris:
            c.close()
    equal(len(g.rows()), 20, 'rows')


def date_and_length(t):
    """TEST Every answer says its date and its length."""
    g = t.gateway()
    for answer in (g.get('/healthz'), g.get('/nowhere'), g.post(b'{')):
        check(re.fullmatch(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} 20\d\d \d\d:\d\d:\d\d GMT',
                           answer.fields.get('date', '')), f'date: {answer}')
        equal(int(answer.fields['content-length']), len(answer.body), 'length')
