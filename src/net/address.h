/* SPDX-License-Identifier: MIT */
/* address.h - addresses as text and as the kernel takes them; see address.c. Used by net/. */
#ifndef TTI_NET_ADDRESS_H
#define TTI_NET_ADDRESS_H

#include <sys/socket.h>

#include <tutti/net.h>

#define TTI_HOST_MAX 253                     /* bytes of a name (RFC 1035) */

/* What a tt_addr holds. */
struct tti_addr {
	struct sockaddr_storage room;
	uint32_t len;                        /* 0: no address */
};

static inline struct tti_addr *tti_addr_of(tt_addr *a)
{
	return (struct tti_addr *)(void *)a;
}

/* "host:port", taken apart. */
struct tti_host_port {
	char host[TTI_HOST_MAX + 1];         /* without brackets; "" for any */
	uint16_t port;
	bool any;                            /* ":port" or "*:port" */
};

/* TT_EINVAL, with a text that begins with the name of the call. */
TT_MUST_USE int tti_host_port_parse(const char *call, const char *text, struct tti_host_port *ret);

/* Host is an address in digits: true, and *ret is it. */
bool tti_addr_from_digits(const char *host, uint16_t port, struct tti_addr *ret);
void tti_addr_any(int family, uint16_t port, struct tti_addr *ret);
void tti_addr_set_port(struct tti_addr *a, uint16_t port);
/* An address of IPv4 as a socket of IPv6 writes it, and back; others stay as they are. */
void tti_addr_map(struct tti_addr *a);
void tti_addr_unmap(struct tti_addr *a);
/* TT_ENOTSUP: an address without a port. */
int tti_addr_port(const struct tti_addr *a);
/* A peer without a name: only Unix sockets have none. */
void tti_addr_unnamed(struct tti_addr *ret);
/* A path, or "@name". TT_ENAMETOOLONG and TT_EINVAL, with a text. */
TT_MUST_USE int tti_addr_from_path(const char *call, const char *path, struct tti_addr *ret);
int tti_addr_text(const struct tti_addr *a, char *ret_buf, size_t n);

#define TTI_ADDR_TEXT_MAX 128

#endif
