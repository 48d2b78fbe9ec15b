/* SPDX-License-Identifier: MIT */
/*
 * rfc3339.h - times as text: check and normalise what clients send, write our own.
 *
 * Who calls it: event.c.
 */
#ifndef GATEWAY_RFC3339_H
#define GATEWAY_RFC3339_H

#include <stddef.h>
#include <stdint.h>

/* "9999-12-31T23:59:60.123456789Z" and a NUL. */
#define RFC3339_SIZE 31

/*
 * rfc3339_normalise - a time of any offset as UTC, with the fraction it was given.
 *
 * A leap second passes where it would be 23:59:60Z. Years stay within 0000 to 9999, in UTC too.
 * Returns    the length of ret_text, which ends in a NUL
 * Errors     -EINVAL: not RFC 3339 section 5.6, no such day, a fraction of over 9 digits
 */
int rfc3339_normalise(const char *text, size_t len, char ret_text[RFC3339_SIZE]);

/*
 * rfc3339_format - a time since 1970 in UTC with so many digits of fraction (0 to 9), cut,
 * not rounded.
 *
 * Returns    the length of ret_text, which ends in a NUL
 */
int rfc3339_format(int64_t unix_ns, unsigned digits, char ret_text[RFC3339_SIZE]);

#endif
