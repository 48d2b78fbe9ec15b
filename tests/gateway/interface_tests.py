# SPDX-License-Identifier: MIT
"""interface_tests.py - what the interface promises: statuses, bodies, order, and the table."""

import json
import re
import threading

from harness import Failure, check, encoded, equal, error, events, request, result, results

JSON = 'application/json'
ID_LIMIT, TEXT_LIMIT = 128, 64


def is_answer(answer, status, body, what):
    equal((answer.status, answer.body), (status, body), what)
    equal(answer.fields.get('content-type'), JSON, f'{what}: content type')


def is_error(answer, status, text, what):
    is_answer(answer, status, error(text), what)


# ---- POST ----

def object_array_lines(t):
    """TEST An object, an array, NDJSON, and no Content-Type at all are taken; each is stored."""
    g = t.gateway()
    is_answer(g.post({'id': 'o', 'type': 't'}), 200, results(result('o', 'accepted')), 'object')
    is_answer(g.post(events('a', 3)), 200,
              results(*(result(f'a-{i}', 'accepted') for i in range(3))), 'array')
    lines = b'{"id":"l-0","type":"t"}\n{"id":"l-1","type":"t"}\r\n\n{"id":"l-2","type":"t"}'
    is_answer(g.post(lines, 'application/x-ndjson'), 200,
              results(*(result(f'l-{i}', 'accepted') for i in range(3))), 'lines')
    is_answer(g.post({'id': 'n', 'type': 't'}, None), 200, results(result('n', 'accepted')),
              'no content type')
    for i, form in enumerate(('APPLICATION/JSON', 'application/json; charset=UTF-8',
                              'application/json;charset="utf-8"')):
        is_answer(g.post({'id': f'c-{i}', 'type': 't'}, form), 200,
                  results(result(f'c-{i}', 'accepted')), form)
    equal(sorted(g.rows()), ['a-0', 'a-1', 'a-2', 'c-0', 'c-1', 'c-2', 'l-0', 'l-1', 'l-2', 'n',
                             'o'], 'stored')


def what_is_stored(t):
    """TEST Every field arrives in the table as it was sent; missing ones are made."""
    g = t.gateway()
    sent = [{'id': 'full', 'type': 'größe 😀', 'ts': '2026-01-02T03:04:05Z', 'tenant': 'acme',
             'props': {'a': [1, 2.5, None], 'b': 'x"y\\z'}},
            {'id': 'bare', 'type': 'bare'}, {'type': 'made'}]
    answer = g.post(json.dumps(sent, separators=(',', ':')).encode())
    equal(answer.status, 200, 'status')
    equal(answer.statuses(), ['accepted'] * 3, 'statuses')
    made = answer.json()['results'][2]['id']
    check(re.fullmatch(r'[0-9A-Za-z-]{20,40}', made), f'made id {made!r}')
    rows = g.rows()
    equal(rows['full'][:3], ('größe 😀', '2026-01-02T03:04:05Z', 'acme'), 'full')
    equal(json.loads(rows['full'][3]), sent[0]['props'], 'props')
    time_of_arrival = r'20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z'
    check(re.fullmatch(time_of_arrival, rows['bare'][1]), f"ts {rows['bare'][1]!r}")
    equal((rows['bare'][0], rows['bare'][2], rows['bare'][3]), ('bare', None, '{}'), 'bare')
    equal(rows[made][0], 'made', 'type of the made one')


def made_ids_sort_by_time(t):
    """TEST Ids that the gateway makes on one connection are different and in order."""
    g = t.gateway('--workers', 1)
    made = []
    with g.client() as c:
        for _ in range(20):
            made += [r['id'] for r in c.post([{'type': 't'}] * 5).json()['results']]
    equal(made, sorted(set(made)), 'made ids')


def mixed_results_in_input_order(t):
    """TEST Accepted, duplicate and rejected events of one request are told in input order."""
    g = t.gateway()
    g.post({'id': 'old', 'type': 't'})
    body = [{'id': 'x'}, {'id': 'new', 'type': 't'}, 7, {'id': 'old', 'type': 't'},
            {'id': 'late', 'type': 't', 'tenant': 'n'}, {'type': 't', 'color': 1}]
    is_answer(g.post(body), 200, results(
        result('x', 'rejected', 'events[0].type: missing'),
        result('new', 'accepted'),
        result(None, 'rejected', 'events[2]: not an object'),
        result('old', 'duplicate'),
        result('late', 'accepted'),
        result(None, 'rejected', 'events[5].color: unknown key')), 'mixed')
    equal(sorted(g.rows()), ['late', 'new', 'old'], 'stored')


def duplicate_within_a_request(t):
    """TEST The same id three times in one request: the first is kept, two are duplicates."""
    g = t.gateway()
    body = [{'id': 'd', 'type': f'copy{i}'} for i in range(3)]
    is_answer(g.post(body), 200, results(result('d', 'accepted'), result('d', 'duplicate'),
                                         result('d', 'duplicate')), 'three copies')
    equal(g.rows()['d'][0], 'copy0', 'the copy that was kept')


def duplicate_across_requests(t):
    """TEST A second request with the same id says duplicate and changes nothing."""
    g = t.gateway()
    g.post({'id': 'd', 'type': 'first'})
    is_answer(g.post({'id': 'd', 'type': 'second'}), 200, results(result('d', 'duplicate')),
              'second')
    equal(g.rows()['d'][0], 'first', 'the copy that was kept')


def racing_duplicates(t):
    """TEST Connections that race with the same ids: of each id exactly one is accepted."""
    g = t.gateway('--linger', 5)
    clients, rounds = 4, 20
    barrier = threading.Barrier(clients)

    def racer():
        said = []
        with g.client() as c:
            for r in range(rounds):
                barrier.wait(10)
                said.append(c.post(events(f'r{r}', 10)).statuses())
        return said

    said = [t.collect(s) for s in [t.start(racer) for _ in range(clients)]]
    for r in range(rounds):
        for i in range(10):
            equal(sorted(s[r][i] for s in said), ['accepted'] + ['duplicate'] * (clients - 1),
                  f'r{r}-{i}')
    equal(len(g.rows()), rounds * 10, 'rows')


def all_rejected_is_422(t):
    """TEST A request of which every event is rejected is a 422, and stores nothing."""
    g = t.gateway()
    is_answer(g.post({'id': 'x'}), 422, results(result('x', 'rejected', 'events[0].type: missing')),
              'one')
    is_answer(g.post([{}, 'text']), 422, results(
        result(None, 'rejected', 'events[0].type: missing'),
        result(None, 'rejected', 'events[1]: not an object')), 'two')
    equal(g.rows(), {}, 'stored')


RULES = (
    # what the event is, in JSON text; what the answer says of it
    (rb'{"type":""}', '.type: empty'),
    (rb'{"type":5}', '.type: not a string'),
    (rb'{"type":"a\u0000b"}', '.type: contains U+0000'),
    (rb'{"type":"t","id":"\u0000"}', '.id: contains U+0000'),
    (rb'{"type":"t","tenant":"x\u0000"}', '.tenant: contains U+0000'),
    (rb'{"type":"t","props":{"a":"\u0000"}}', '.props: contains U+0000'),
    (rb'{"type":"t","props":{"a\u0000":1}}', '.props: contains U+0000'),
    (rb'{"type":"t","a\u0000":1}', ': key contains U+0000'),
    (rb'{"type":"\ud800"}', '.type: contains half a surrogate pair'),
    (rb'{"type":"t","id":""}', '.id: empty'),
    (rb'{"type":"t","id":7}', '.id: not a string'),
    (rb'{"type":"t","ts":"yesterday"}', '.ts: not an RFC 3339 time'),
    (rb'{"type":"t","ts":1700000000}', '.ts: not a string'),
    (rb'{"type":"t","ts":"2026-02-29T00:00:00Z"}', '.ts: not an RFC 3339 time'),
    (rb'{"type":"t","props":[]}', '.props: not an object'),
    (rb'{"type":"t","props":null}', '.props: not an object'),
    (rb'{"type":"t","type":"t"}', '.type: duplicate key'),
    (rb'{"type":"t","props":{"k":1,"k":2}}', '.props: duplicate key "k"'),
    (rb'{"type":"t","extra":1}', '.extra: unknown key'),
    (b'{"type":"' + b'x' * (TEXT_LIMIT + 1) + b'"}', '.type: longer than 64 bytes'),
    (b'{"type":"t","tenant":"' + b'x' * (TEXT_LIMIT + 1) + b'"}', '.tenant: longer than 64 bytes'),
    (b'{"type":"t","id":"' + b'x' * (ID_LIMIT + 1) + b'"}', '.id: longer than 128 bytes'),
    # 64 characters, 128 bytes
    ('{"type":"' + 'é' * TEXT_LIMIT + '"}', '.type: longer than 64 bytes'),
)


def rules_of_an_event(t):
    """TEST Each rule that an event can break rejects it alone, and the error names the place."""
    g = t.gateway()
    with g.client() as c:
        for i, (text, why) in enumerate(RULES):
            text = text.encode() if isinstance(text, str) else text
            good = f'{{"type":"t","id":"good-{i}"}}'.encode()
            answer = c.post(b'[' + good + b',' + text + b']')
            equal(answer.status, 200, f'{text!r}')
            got = answer.json()['results'][1]
            equal((got['status'], got['error']), ('rejected', f'events[1]{why}'), f'{text!r}')
    equal(len(g.rows()), len(RULES), 'the good neighbours')


def longest_texts(t):
    """TEST The longest type, id and tenant are taken, by bytes."""
    g = t.gateway()
    event = {'type': 'é' * (TEXT_LIMIT // 2), 'id': 'i' * ID_LIMIT, 'tenant': 'x' * TEXT_LIMIT}
    is_answer(g.post(json.dumps(event, ensure_ascii=False).encode()), 200,
              results(result('i' * ID_LIMIT, 'accepted')), 'longest')
    equal(g.get('/v1/events/' + 'i' * ID_LIMIT).json()['type'], event['type'], 'type')


def malformed_json_is_400(t):
    """TEST Malformed JSON is a 400 that says where; the connection lives on, nothing is stored."""
    g = t.gateway()
    with g.client() as c:
        for text in (b'{', b'[{"type":"t"},', b'{"type":"t"}x', b'nonsense', b'{"type":t}', b"{'a':1}",
                     b'[{"type":"t"}}', b'{"type":"\x01"}', b'{"type":"t",}', b'\xef\xbb\xbf{', b'{} {}',
                     b'{"type":"\xff"}', b'{"type":"\xc0\x80"}', b'{"type":"\xed\xa0\x80"}',
                     b'{"type":"t","props":{"n":01}}', b'{"type":"t"}\x00'):
            answer = c.post(text)
            equal(answer.status, 400, f'{text!r}')
            check(re.fullmatch(r'malformed JSON at byte \d+, line 1: .+', answer.json()['error']),
                  f'{text!r}: {answer.body!r}')
        is_error(c.post(b'', JSON), 400, c.post(b'').json()['error'], 'empty')
        is_error(c.post(b'[]'), 400, 'the body holds no event', 'no event')
        is_error(c.post(b'\n\n', 'application/x-ndjson'), 400, 'the body holds no event', 'no line')
        c.post({'id': 'after', 'type': 't'})
    equal(sorted(g.rows()), ['after'], 'stored')


def invalid_utf8_names_its_place(t):
    """TEST Invalid UTF-8 is refused and the byte named; in NDJSON only its line is."""
    g = t.gateway()
    answer = g.post(b'[{"type":"t"},{"type":"a\xffb"}]')
    equal(answer.status, 400, 'in an array')
    check(answer.json()['error'].startswith('malformed JSON at byte 24, line 1: '),
          f'place: {answer.body!r}')
    answer = g.post(b'{"id":"u","type":"t"}\n{"type":"a\xffb"}\n', 'application/x-ndjson')
    equal((answer.status, answer.statuses()), (200, ['accepted', 'rejected']), 'in lines')
    check(answer.json()['results'][1]['error'].startswith(
        'events[1]: malformed JSON at byte 10 of the line: '), f'place: {answer.body!r}')
    equal(sorted(g.rows()), ['u'], 'stored')


def broken_lines_are_rejected_alone(t):
    """TEST A broken line of NDJSON is one rejected event among good ones."""
    g = t.gateway()
    answer = g.post(b'{"id":"a","type":"t"}\n{"id":\n[]\n{"id":"b","type":"t"}\n',
                    'application/x-ndjson')
    equal((answer.status, answer.statuses()), (200, ['accepted', 'rejected', 'rejected', 'accepted']),
          'statuses')
    equal(answer.json()['results'][2]['error'], 'events[2]: not an object', 'an array in a line')
    equal(sorted(g.rows()), ['a', 'b'], 'stored')


def other_media_types_are_415(t):
    """TEST Another media type, or another charset, is a 415."""
    g = t.gateway()
    with g.client() as c:
        for form in ('text/plain', 'application/xml', 'application/jsonx', 'application',
                     'application/json; charset=latin1', 'multipart/form-data; boundary=x'):
            is_error(c.post({'type': 't'}, form), 415,
                     'send application/json or application/x-ndjson, in UTF-8', form)
    equal(g.rows(), {}, 'stored')


def number_of_events(t):
    """TEST One less than the most events, the most, and one more: 200, 200, 413."""
    g = t.gateway('--events-max', 50)
    for n, prefix in ((49, 'a'), (50, 'b')):
        is_answer(g.post(events(prefix, n)), 200,
                  results(*(result(f'{prefix}-{i}', 'accepted') for i in range(n))), f'{n} events')
    is_error(g.post(events('c', 51)), 413, 'more than 50 events', '51 events')
    lines = b'\n'.join(encoded(e) for e in events('d', 51))
    is_error(g.post(lines, 'application/x-ndjson'), 413, 'more than 50 events', '51 lines')
    equal(len(g.rows()), 99, 'stored')


def standard_limits(t):
    """TEST Without options: 1,000 events and 1 MiB are taken, one more of either is a 413."""
    g = t.gateway()
    equal(g.post(events('a', 1000)).statuses(), ['accepted'] * 1000, '1,000 events')
    is_error(g.post(events('b', 1001)), 413, 'more than 1000 events', '1,001 events')
    body = b'{"id":"big","type":"t","props":{"p":"' + b'x' * (2**20 - 41) + b'"}}'
    body += b' ' * (2**20 - len(body))
    is_answer(g.post(body), 200, results(result('big', 'accepted')), '1 MiB')
    with g.client() as c:
        equal(c.post(body + b' ').status, 413, '1 MiB and a byte')
        c.expect_closed()
    equal(len(g.rows()), 1001, 'stored')


def body_size_by_length(t):
    """TEST Content-Length at the limit is taken; above it 413 comes before the body, and an end."""
    g = t.gateway('--body-max', 100)
    body = b'{"id":"a","type":"t"}'
    equal(g.post(body + b' ' * (100 - len(body))).status, 200, 'at the limit')
    with g.client() as c:
        c.send(b'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n')
        answer = c.answer()
        equal((answer.status, answer.fields['connection']), (413, 'close'), 'above it')
        c.expect_closed()


def body_size_by_chunks(t):
    """TEST A chunked body may grow to the limit; the chunk that goes above it is a 413."""
    g = t.gateway('--body-max', 100)
    head = b'POST /v1/events HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n'
    body = b'{"id":"c","type":"t"}' + b' ' * 79
    chunks = b''.join(b'%x\r\n%s\r\n' % (len(p), p) for p in (body[:1], body[1:50], body[50:]))
    with g.client() as c:
        c.send(head + chunks + b'0\r\n\r\n')
        is_answer(c.answer(), 200, results(result('c', 'accepted')), 'at the limit')
        c.send(head + chunks + b'1\r\n')
        equal(c.answer().status, 413, 'above it')
        c.expect_closed()


# ---- GET, HEAD and the rest ----

def get_of_an_event(t):
    """TEST GET tells the stored event; ids may be percent-encoded; an unknown one is a 404."""
    g = t.gateway()
    strange = 'a b/c%d?é#"'
    g.post([{'id': 'plain', 'type': 't', 'ts': '2026-01-02T03:04:05Z', 'tenant': 'x"y',
             'props': {'k': [1]}}, {'id': strange, 'type': 't', 'ts': '2026-01-02T03:04:05Z'}])
    answer = g.get('/v1/events/plain')
    equal((answer.status, answer.fields['content-type']), (200, JSON), 'plain')
    got = answer.json()
    check(re.fullmatch(r'20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', got.pop('received_at')), 'received_at')
    equal(got, {'id': 'plain', 'type': 't', 'ts': '2026-01-02T03:04:05Z', 'tenant': 'x"y',
                'props': {'k': [1]}}, 'plain')
    escaped = ''.join(f'%{b:02X}' for b in strange.encode())
    got = g.get('/v1/events/' + escaped).json()
    equal((got['id'], got['tenant'], got['props']), (strange, None, {}), 'escaped')
    equal(g.get('/v1/events/pl%61in?x=1').json()['id'], 'plain', 'a query changes nothing')
    is_error(g.get('/v1/events/nobody'), 404, 'no such event', 'unknown')
    is_error(g.get('/v1/events/' + 'x' * 129), 404, 'no such event', 'too long for an id')
    is_error(g.get('/v1/events/'), 404, "an event's id is missing in the path", 'empty')
    is_error(g.get('/v1/events/a%00b'), 400, 'the id in the path is not well escaped', 'U+0000')
    is_error(g.get('/v1/events/%ff%fe'), 404, 'no such event', 'no UTF-8')


def head_is_get_without_a_body(t):
    """TEST HEAD has the status and the length of GET, no body, and the connection goes on."""
    g = t.gateway()
    g.post({'id': 'h', 'type': 't'})
    with g.client() as c:
        for path in ('/v1/events/h', '/v1/events/none', '/healthz', '/readyz'):
            get, head = c.request('GET', path), c.request('HEAD', path)
            equal((head.status, head.fields['content-length'], head.body),
                  (get.status, str(len(get.body)), b''), path)


def unknown_paths_are_404(t):
    """TEST A path that is none is a 404, whatever the method."""
    g = t.gateway()
    with g.client() as c:
        for method, path in (('GET', '/'), ('POST', '/v1/event'), ('GET', '/v1'), ('PUT', '/V1/EVENTS'),
                             ('GET', '/healthz/'), ('DELETE', '/v1/eventsx')):
            is_error(c.request(method, path), 404, 'no such path', f'{method} {path}')


def wrong_methods_are_405(t):
    """TEST A method that a path does not have is a 405, and Allow names those it has."""
    g = t.gateway()
    with g.client() as c:
        for path, allow, methods in (
                ('/v1/events', 'POST', ('GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS')),
                ('/v1/events/x', 'GET, HEAD', ('POST', 'PUT', 'DELETE')),
                ('/healthz', 'GET, HEAD', ('POST', 'DELETE')),
                ('/readyz', 'GET, HEAD', ('POST', 'PATCH'))):
            for method in methods:
                answer = c.request(method, path, b'' if method == 'POST' else None)
                is_error(answer, 405, 'method not allowed', f'{method} {path}')
                equal(answer.fields.get('allow'), allow, f'{method} {path}: Allow')
        answer = c.request('HEAD', '/v1/events')
        equal((answer.status, answer.fields['allow']), (405, 'POST'), 'HEAD /v1/events')


def health_and_readiness(t):
    """TEST A gateway that serves is healthy and ready."""
    g = t.gateway()
    is_answer(g.get('/healthz'), 200, b'{"status":"ok"}', 'healthz')
    is_answer(g.get('/readyz'), 200, b'{"status":"ready"}', 'readyz')


def many_at_once(t):
    """TEST 16 connections of 25 requests each: every event is answered and stored once."""
    g = t.gateway()

    def poster(k):
        with g.client() as c:
            for r in range(25):
                prefix = f'{k}-{r}'
                is_answer(c.post(events(prefix, 4)), 200,
                          results(*(result(f'{prefix}-{i}', 'accepted') for i in range(4))), prefix)

    for started in [t.start(poster, k) for k in range(16)]:
        t.collect(started)
    equal(len(g.rows()), 16 * 25 * 4, 'rows')


def restart_keeps_everything(t):
    """TEST What was accepted is there after a restart, and sending it again says duplicate."""
    g = t.gateway()
    g.post(events('k', 10))
    g.stop()
    again = t.gateway('--store', f'sqlite:{g.store}')
    again.store = g.store
    equal(again.get('/v1/events/k-7').status, 200, 'found')
    equal(again.post(events('k', 10)).statuses(), ['duplicate'] * 10, 'sent again')


def two_gateways_on_one_file(t):
    """TEST Two gateways on one file: an id accepted by one is a duplicate for the other."""
    a = t.gateway()
    b = t.gateway('--store', f'sqlite:{a.store}')
    b.store = a.store
    equal(a.post(events('s', 5)).statuses(), ['accepted'] * 5, 'first')
    equal(b.post(events('s', 6)).statuses(), ['duplicate'] * 5 + ['accepted'], 'second')
    equal(a.get('/v1/events/s-5').status, 200, 'seen by the first')
    if len(a.rows()) != 6:
        raise Failure(f'rows: {sorted(a.rows())}')


def pipelined_posts_keep_their_order(t):
    """TEST Requests sent at once are answered one by one, in the order they were sent."""
    g = t.gateway()
    with g.client() as c:
        c.send(b''.join(request('POST', '/v1/events', encoded({'id': f'p-{i}', 'type': 't'}))
                        + request('GET', f'/v1/events/p-{i}') for i in range(10)))
        for i in range(10):
            is_answer(c.answer(), 200, results(result(f'p-{i}', 'accepted')), f'post {i}')
            equal(c.answer().json()['id'], f'p-{i}', f'get {i}')
        c.expect_open()
