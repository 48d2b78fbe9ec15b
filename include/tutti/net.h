/* SPDX-License-Identifier: MIT */
/*
 * net.h - streams and datagrams: TCP, UDP, Unix sockets, standard streams, and buffered
 * reading and writing.
 *
 * Addresses are text: "127.0.0.1:8080", "[::1]:0", "localhost:5432", "*:80". A tt_fd is a
 * handle: a number and a generation, so that a late use of a closed one gives -EBADF and never
 * reaches another's. One reader and one writer at a time, else -EBUSY.
 *
 * Rejected    Plain ints as handles: between close and reuse a late call hits a stranger.
 */
#ifndef TUTTI_NET_H
#define TUTTI_NET_H

#include <tutti/base.h>

struct iovec;

TT_BEGIN_DECLS

/* A descriptor of the runtime's. */
typedef struct tt_fd tt_fd;

/* An address; opaque storage, see tt_addr_text(). */
typedef struct tt_addr {
	uint64_t tt_opaque_[17];
} tt_addr;

/*
 * tt_addr_text - an address as people write it: "127.0.0.1:8080", "[::1]:80", "unix:/run/x".
 *
 * Blocks     no
 * Returns    the length it has, as snprintf: more than n - 1 means it was cut
 * Threads    any
 */
TT_API int tt_addr_text(const tt_addr *a, char *ret_buf, size_t n);

/*
 * tt_addr_parse - an address in digits from its text: "127.0.0.1:53", "[::1]:53". Names are
 * tt_resolve()'s (<tutti/dns.h>).
 *
 * Blocks     no
 * Returns    0
 * Errors     -EINVAL (no address, or a name)
 * Threads    any
 */
TT_API TT_MUST_USE int tt_addr_parse(const char *text, tt_addr *ret_addr);

/* For tt_tcp_listen() (all but none), tt_tcp_connect() (delay, keepalive). Zero: defaults. */
typedef struct tt_tcp_options {
	int backlog;       /* of a listener; 0: 1024 */
	bool delay;        /* leave Nagle's algorithm on; default: TCP_NODELAY */
	bool reuse_port;   /* SO_REUSEPORT on a listener */
	bool ipv6_only;    /* a listener on "[::]:port" takes no IPv4 */
	int64_t keepalive; /* ns of silence before probes; 0: off */
} tt_tcp_options;

/*
 * tt_tcp_listen - a listener on an address; port 0 lets the system choose.
 *
 * Blocks     yes, if the address is a name; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; nothing was opened
 * Errors     -EADDRINUSE, -EACCES, -EINVAL (not an address), TT_ENOHOST, -EMFILE, ...
 * Ownership  *ret_listener is the caller's, closed with tt_fd_close()
 * Threads    any task; `o` may be NULL
 */
TT_API TT_MUST_USE int tt_tcp_listen(const char *addr, const tt_tcp_options *o,
                                     tt_fd **ret_listener);

/*
 * tt_tcp_connect - a connection to an address or a name. The addresses of a name are tried in
 * an order that alternates between IPv6 and IPv4 ("happy eyeballs", RFC 8305): the next one
 * when the last failed or did not answer for 250 ms, while the earlier ones go on. The first
 * that answers is taken, the others are closed.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; nothing was left open
 * Errors     TT_ENOHOST; if every address failed, the code of the one that failed last
 *            (-ECONNREFUSED, -ETIMEDOUT, -EHOSTUNREACH, ...), with the others as its siblings
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task; `o` may be NULL
 */
TT_API TT_MUST_USE int tt_tcp_connect(const char *addr, const tt_tcp_options *o, tt_fd **ret_fd);

/*
 * tt_unix_listen - a listener on a path; "@name" is an abstract name. A stale socket file,
 * to which nobody listens, is replaced. The file is removed when the listener is closed.
 *
 * Blocks     no
 * Returns    0
 * Errors     -EADDRINUSE (somebody listens), -ENAMETOOLONG, -EACCES, ...
 * Ownership  *ret_listener is the caller's, closed with tt_fd_close()
 * Threads    any task; backlog 0 is 1024
 */
TT_API TT_MUST_USE int tt_unix_listen(const char *path, int backlog, tt_fd **ret_listener);

/*
 * tt_unix_connect - a connection to a path.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; nothing was left open
 * Errors     -ENOENT, -ECONNREFUSED, -ENAMETOOLONG, ...
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_unix_connect(const char *path, tt_fd **ret_fd);

/*
 * tt_unix_send_fd - write some bytes to a Unix stream and, with the first of them, a descriptor.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes were written, at least 1: the descriptor is on its way
 * Cancelled  TT_ECANCELED, and then neither was sent
 * Errors     -EINVAL (n is 0), -EBADF (either was closed), -ENOTSUP (not a Unix socket), as
 *            tt_write()
 * Ownership  `passed` stays the caller's, who may close it as soon as this returns
 * Threads    any task; one writer at a time
 */
TT_API TT_MUST_USE int tt_unix_send_fd(tt_fd *fd, tt_fd *passed, const void *buf, size_t n);

/*
 * tt_unix_recv_fd - read some bytes of a Unix stream, and the descriptor that came with them.
 * It is closed when other programs are executed. A plain tt_read() of such bytes closes what
 * came with them.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes, at least 1; 0 at the end of the stream. *ret_fd is NULL if they
 *            came alone
 * Cancelled  TT_ECANCELED, and then neither bytes nor descriptor were taken
 * Errors     -EPROTO (more than one came with these bytes; all are closed), -EMFILE (no number
 *            is free for it; it is lost), -EINVAL (n is 0), -ENOTSUP (not a Unix socket), as
 *            tt_read()
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task; one reader at a time
 */
TT_API TT_MUST_USE int tt_unix_recv_fd(tt_fd *fd, void *ret_buf, size_t n, tt_fd **ret_fd);

/* For tt_udp_open() and tt_udp_connect(). Zero: defaults. */
typedef struct tt_udp_options {
	bool reuse_port; /* SO_REUSEPORT: several sockets share a port */
	bool ipv6_only;  /* a socket on "[::]:port" takes no IPv4 */
	bool broadcast;  /* it may send to broadcast addresses */
	int recv_bytes;  /* SO_RCVBUF: what the kernel keeps for us; 0: its default */
} tt_udp_options;

/*
 * tt_udp_open - a socket for datagrams on an address; port 0 lets the system choose. NULL is
 * any address of both families, at a port of the system's choice: a client's.
 *
 * Blocks     yes, if the address is a name; always a checkpoint
 * Returns    0
 * Cancelled  TT_ECANCELED; nothing was opened
 * Errors     -EADDRINUSE, -EACCES, -EINVAL (not an address), TT_ENOHOST, -EMFILE, ...
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task; `o` may be NULL
 */
TT_API TT_MUST_USE int tt_udp_open(const char *addr, const tt_udp_options *o, tt_fd **ret_fd);

/*
 * tt_udp_connect - a socket for datagrams to and from one peer: others are not heard, and that
 * nobody listens there (ICMP) is told by the next call as -ECONNREFUSED.
 *
 * Blocks     yes, if the address is a name; always a checkpoint
 * Returns    0; the peer has not been asked
 * Cancelled  TT_ECANCELED; nothing was left open
 * Errors     TT_ENOHOST, -ENETUNREACH (no way to any of its addresses), -EINVAL, -EMFILE, ...
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task; `o` may be NULL
 */
TT_API TT_MUST_USE int tt_udp_connect(const char *addr, const tt_udp_options *o, tt_fd **ret_fd);

/*
 * tt_udp_recv - take the next datagram, waiting until there is one.
 *
 * Blocks     yes; always a checkpoint, even when one waits
 * Returns    how long it is, 0 included; more than n means that its end was cut off
 * Cancelled  TT_ECANCELED, and then none was taken
 * Errors     -ECONNREFUSED (of a connected socket), -EBADF, -ENOTSUP (not such a socket)
 * Ownership  ret_from may be NULL
 * Threads    any tasks, many at a time: each datagram goes to one of them
 */
TT_API TT_MUST_USE int tt_udp_recv(tt_fd *fd, void *ret_buf, size_t n, tt_addr *ret_from);

/*
 * tt_udp_send - send a datagram, to `to` or, for NULL, to the peer of a connected socket. It
 * may be lost, doubled or overtaken on its way; it never arrives in part.
 *
 * Blocks     yes, while the kernel has no room for it; always a checkpoint
 * Returns    n
 * Cancelled  TT_ECANCELED, and then it was not sent
 * Errors     -EMSGSIZE, -EDESTADDRREQ, -ENETUNREACH, -EACCES (broadcast), -EAFNOSUPPORT (IPv6
 *            from a socket of IPv4), -ECONNREFUSED (of an earlier one; this one was not sent),
 *            -EBADF, -ENOTSUP
 * Threads    any tasks, many at a time
 */
TT_API TT_MUST_USE int tt_udp_send(tt_fd *fd, const void *buf, size_t n, const tt_addr *to);

/*
 * tt_pair - two connected streams.
 *
 * Blocks     no
 * Returns    0
 * Errors     -EMFILE, -ENFILE, -ENOMEM
 * Ownership  both are the caller's, closed with tt_fd_close()
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_pair(tt_fd *ret_fds[2]);

/*
 * tt_accept - take the next connection of a listener. Connections that broke before they were
 * taken are passed over; -EMFILE, -ENFILE, -ENOBUFS and -ENOMEM wait 100 ms and are reported
 * once, not returned.
 *
 * Blocks     yes; always a checkpoint, even when a connection waits
 * Returns    0
 * Cancelled  TT_ECANCELED, and then none was taken
 * Errors     -EBADF (closed meanwhile), -EBUSY (another task accepts), -EINVAL (no listener)
 * Ownership  *ret_fd is the caller's, closed with tt_fd_close()
 * Threads    any task; ret_peer may be NULL
 */
TT_API TT_MUST_USE int tt_accept(tt_fd *listener, tt_fd **ret_fd, tt_addr *ret_peer);

/*
 * tt_read - read what is there, waiting until there is something.
 *
 * Blocks     yes; always a checkpoint, even when bytes wait
 * Returns    how many bytes, at least 1; 0 at the end of the stream (or if n is 0)
 * Cancelled  TT_ECANCELED, and then nothing was taken from the stream
 * Errors     -ECONNRESET, -EBADF, -EBUSY, ...
 * Threads    any task; one reader at a time
 */
TT_API TT_MUST_USE int tt_read(tt_fd *fd, void *ret_buf, size_t n);

/*
 * tt_write - write some of these bytes, waiting until there is room for any.
 *
 * Blocks     yes; always a checkpoint, even when there is room
 * Returns    how many bytes, at least 1 (0 only if n is 0)
 * Cancelled  TT_ECANCELED, and then nothing was written
 * Errors     -EPIPE, -ECONNRESET, TT_ETORN, -EBADF, -EBUSY, ... (never a signal)
 * Threads    any task; one writer at a time
 */
TT_API TT_MUST_USE int tt_write(tt_fd *fd, const void *buf, size_t n);

/*
 * tt_try_read - tt_read() without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    how many bytes, at least 1; 0 at the end of the stream
 * Errors     -EAGAIN; as tt_read()
 * Threads    any task; one reader at a time
 */
TT_API TT_MUST_USE int tt_try_read(tt_fd *fd, void *ret_buf, size_t n);

/*
 * tt_try_write - tt_write() without waiting.
 *
 * Blocks     no; not a checkpoint
 * Returns    how many bytes, at least 1
 * Errors     -EAGAIN; as tt_write()
 * Threads    any task; one writer at a time
 */
TT_API TT_MUST_USE int tt_try_write(tt_fd *fd, const void *buf, size_t n);

/*
 * tt_read_exact - read exactly n bytes.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all have come
 * Cancelled  TT_ECANCELED; *ret_done says how many were read
 * Errors     TT_EEOF if the stream ended first; as tt_read(); *ret_done is set
 * Ownership  ret_done may be NULL
 * Threads    any task; one reader at a time
 */
TT_API TT_MUST_USE int tt_read_exact(tt_fd *fd, void *ret_buf, size_t n, size_t *ret_done);

/*
 * tt_write_all - write all n bytes. One that stops half way leaves the stream torn: later
 * writes give TT_ETORN.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all were written
 * Cancelled  TT_ECANCELED; *ret_done says how many were written
 * Errors     as tt_write(); *ret_done is set
 * Ownership  ret_done may be NULL
 * Threads    any task; one writer at a time
 */
TT_API TT_MUST_USE int tt_write_all(tt_fd *fd, const void *buf, size_t n, size_t *ret_done);

/*
 * tt_writev_all - tt_write_all() from n pieces (<sys/uio.h>).
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all were written
 * Cancelled  TT_ECANCELED; *ret_done says how many bytes were written
 * Errors     as tt_write(); -EINVAL for a negative n; *ret_done is set
 * Ownership  ret_done may be NULL; the array is not changed
 * Threads    any task; one writer at a time
 */
TT_API TT_MUST_USE int tt_writev_all(tt_fd *fd, const struct iovec *iov, int n, size_t *ret_done);

/*
 * tt_sendfile - write a part of a file to a stream: n bytes from an offset, or up to its end if
 * that comes first. What the kernel has in memory is copied at once, all else is read on the
 * blocking pool. The file's position stays. One that stops half way leaves the stream torn.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: *ret_done bytes were written, fewer than n only if the file ended
 * Cancelled  TT_ECANCELED; *ret_done says how many were written
 * Errors     -ENOTSUP (`file` is no file), -EIO, -ENOMEM, -EINVAL (offset), as tt_write();
 *            *ret_done is set
 * Ownership  ret_done may be NULL
 * Threads    any task; one writer of fd at a time
 */
TT_API TT_MUST_USE int tt_sendfile(tt_fd *fd, tt_fd *file, uint64_t offset, size_t n, size_t *ret_done);

/*
 * tt_fd_shutdown - say that no more is sent or read: SHUT_RD, SHUT_WR, SHUT_RDWR
 * (<sys/socket.h>). Wakes the tasks that read or write it.
 *
 * Blocks     no
 * Returns    0
 * Errors     -ENOTCONN, -EBADF, -EINVAL; TT_ENOTSUP: a datagram socket has no end of its input
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_fd_shutdown(tt_fd *fd, int how);

/*
 * tt_fd_poll - wait until a descriptor is ready: POLLIN, POLLOUT (<poll.h>).
 *
 * Blocks     yes; always a checkpoint
 * Returns    the ready events, > 0; POLLERR and POLLHUP may be among them
 * Cancelled  TT_ECANCELED
 * Errors     -EBADF, -EBUSY, -EINVAL (no event, or another one)
 * Threads    any task; counts as a reader, a writer, or both
 */
TT_API TT_MUST_USE int tt_fd_poll(tt_fd *fd, unsigned events);

/*
 * tt_wait_fd - tt_fd_poll() for a descriptor number that another library owns.
 *
 * Blocks     yes; always a checkpoint
 * Returns    the ready events, > 0; a kind that is always ready, as a file, is ready at once
 * Cancelled  TT_ECANCELED
 * Errors     -EBADF, -EBUSY, -EINVAL (no event, or another one)
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_wait_fd(int fd, unsigned events);

/*
 * tt_fd_forget - to be called before the owner of a number that tt_wait_fd() saw closes it.
 * Tasks that still wait for it get -EBADF.
 *
 * Blocks     no
 * Threads    any task
 */
TT_API void tt_fd_forget(int fd);

/*
 * tt_fd_peer_text - who is at the other end, as tt_addr_text() says it.
 *
 * Blocks     no
 * Returns    the length it has, as snprintf
 * Errors     -ENOTCONN, -EBADF
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_fd_peer_text(tt_fd *fd, char *ret_buf, size_t n);

/*
 * tt_fd_local_port - which port port 0 became.
 *
 * Blocks     no
 * Returns    the port
 * Errors     -EBADF; -ENOTSUP for what has no port
 * Threads    any task
 */
TT_API TT_MUST_USE int tt_fd_local_port(tt_fd *fd);

/*
 * tt_fd_close - close a descriptor. What others have in flight on it is cancelled and drained
 * first; those calls give -EBADF.
 *
 * Blocks     yes, while calls of others are drained; not a checkpoint
 * Cancelled  goes on all the same
 * Ownership  taken; NULL is fine
 * Threads    any task
 */
TT_API void tt_fd_close(tt_fd *fd);

/*
 * tt_stdin - the standard input as a stream; never to be closed.
 *
 * Blocks     no
 * Returns    the same handle each time; NULL if descriptor 0 is not open
 * Threads    any task
 */
TT_API tt_fd *tt_stdin(void);

/*
 * tt_stdout - the standard output as a stream; never to be closed.
 *
 * Blocks     no
 * Returns    the same handle each time; NULL if descriptor 1 is not open
 * Threads    any task
 */
TT_API tt_fd *tt_stdout(void);

/*
 * tt_stderr - the standard error output as a stream; never to be closed.
 *
 * Blocks     no
 * Returns    the same handle each time; NULL if descriptor 2 is not open
 * Threads    any task
 */
TT_API tt_fd *tt_stderr(void);

/* A read buffer over a stream; for one task at a time. Needs no fini. */
typedef struct tt_reader {
	uint64_t tt_opaque_[8];
} tt_reader;

/*
 * tt_reader_init - buffer a stream's reads in n > 0 bytes of the caller's.
 *
 * Blocks     no
 * Ownership  fd and buf are lent until the reader's last use
 */
TT_API void tt_reader_init(tt_reader *r, tt_fd *fd, char *buf, size_t n);

/*
 * tt_reader_read - read through the buffer: what it holds, else from the stream.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes, at least 1; 0 at the end (or if n is 0)
 * Cancelled  TT_ECANCELED, and then nothing was taken
 * Errors     as tt_read()
 */
TT_API TT_MUST_USE int tt_reader_read(tt_reader *r, void *ret_buf, size_t n);

/*
 * tt_reader_read_exact - read exactly n bytes through the buffer.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: all have come
 * Cancelled  TT_ECANCELED; *ret_done says how many were read
 * Errors     TT_EEOF if the stream ended first; as tt_read(); *ret_done is set
 * Ownership  ret_done may be NULL
 */
TT_API TT_MUST_USE int tt_reader_read_exact(tt_reader *r, void *ret_buf, size_t n,
                                            size_t *ret_done);

/*
 * tt_read_until - take everything up to and with a delimiter byte.
 *
 * Blocks     yes; always a checkpoint
 * Returns    1 a text, 0 the end with nothing left
 * Cancelled  TT_ECANCELED, and then nothing was taken
 * Errors     -ENOBUFS: the buffer is full without the delimiter; TT_EEOF: the end came
 *            before it (the rest stays, see tt_reader_buffered()); as tt_read()
 * Ownership  *ret_text points into the buffer, its last byte (the delimiter) replaced by a
 *            NUL that *ret_len does not count; valid until the next call on the reader
 */
TT_API TT_MUST_USE int tt_read_until(tt_reader *r, int delim, char **ret_text, size_t *ret_len);

/*
 * tt_reader_fill - read once from the stream into the buffer's free space.
 *
 * Blocks     yes; always a checkpoint
 * Returns    how many bytes came, at least 1; 0 at the end
 * Cancelled  TT_ECANCELED, and then nothing was taken from the stream
 * Errors     -ENOBUFS: the buffer is full; as tt_read()
 * Ownership  pointers of tt_reader_buffered() are no longer valid
 */
TT_API TT_MUST_USE int tt_reader_fill(tt_reader *r);

/*
 * tt_reader_buffered - look at what the buffer holds, for parsers that read in place.
 *
 * Blocks     no
 * Returns    how many bytes *ret_data points to
 * Ownership  valid until the next call on the reader that may read or fill
 */
TT_API size_t tt_reader_buffered(const tt_reader *r, char **ret_data);

/*
 * tt_reader_consume - take the first n bytes of what the buffer holds.
 *
 * Blocks     no
 * Errors     aborts if it holds less
 */
TT_API void tt_reader_consume(tt_reader *r, size_t n);

/* A write buffer over a stream; for one task at a time. Needs no fini: flush before. */
typedef struct tt_writer {
	uint64_t tt_opaque_[8];
} tt_writer;

/*
 * tt_writer_init - buffer a stream's writes in n > 0 bytes of the caller's.
 *
 * Blocks     no
 * Ownership  fd and buf are lent until the writer's last use
 */
TT_API void tt_writer_init(tt_writer *w, tt_fd *fd, char *buf, size_t n);

/*
 * tt_writer_write - add n bytes; what does not fit goes out, with what was there, as one
 * write of all.
 *
 * Blocks     yes, when the buffer is full; a checkpoint only then
 * Returns    0
 * Cancelled  TT_ECANCELED; if part had gone out the stream is torn
 * Errors     as tt_write_all()
 */
TT_API TT_MUST_USE int tt_writer_write(tt_writer *w, const void *buf, size_t n);

/*
 * tt_writer_flush - write out what the buffer holds.
 *
 * Blocks     yes; always a checkpoint
 * Returns    0: nothing is left
 * Cancelled  TT_ECANCELED; if part had gone out the stream is torn
 * Errors     as tt_write_all()
 */
TT_API TT_MUST_USE int tt_writer_flush(tt_writer *w);

TT_END_DECLS

#endif
