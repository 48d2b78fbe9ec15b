/* SPDX-License-Identifier: MIT */
/*
 * http_writer.c - heads of answers, and the small helpers of http.h that touch no socket.
 *
 * Who calls it: http_server.c; handlers through http.h.
 *
 * Rejected    strftime and gmtime for the date: they read the locale and the time zone and
 *             take kilobytes of a task's stack.
 */
#include "http_writer.h"
#include "http_parser.h"

#include <stdio.h>
#include <string.h>

/* ---- texts ---- */

static unsigned char to_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

bool tt_http_text_is(tt_http_text text, const char *word)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		if (word[i] == '\0' ||
		    to_lower((unsigned char)text.at[i]) != to_lower((unsigned char)word[i]))
			return false;
	}
	return word[i] == '\0';
}

const tt_http_text *tt_http_header(const tt_http_request *req, const char *name)
{
	for (size_t i = 0; i < req->field_count; i++) {
		if (tt_http_text_is(req->fields[i].name, name))
			return &req->fields[i].value;
	}
	return NULL;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int tt_http_decode(tt_http_text text, char *buf, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		int c = (unsigned char)text.at[i];

		if (c == '%') {
			int high = i + 1 < text.len ? hex_value(text.at[i + 1]) : -1;
			int low = i + 2 < text.len ? hex_value(text.at[i + 2]) : -1;

			c = high < 0 || low < 0 ? 0 : high << 4 | low;
			if (c == 0)
				return -EINVAL;
			i += 2;
		}
		if (len == n)
			return -EMSGSIZE;
		buf[len++] = (char)c;
	}
	return (int)len;
}

const char *tt_http_reason(int status)
{
	switch (status) {
	case 100: return "Continue";
	case 200: return "OK";
	case 201: return "Created";
	case 202: return "Accepted";
	case 204: return "No Content";
	case 301: return "Moved Permanently";
	case 302: return "Found";
	case 303: return "See Other";
	case 304: return "Not Modified";
	case 307: return "Temporary Redirect";
	case 308: return "Permanent Redirect";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 406: return "Not Acceptable";
	case 408: return "Request Timeout";
	case 409: return "Conflict";
	case 410: return "Gone";
	case 411: return "Length Required";
	case 412: return "Precondition Failed";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 415: return "Unsupported Media Type";
	case 417: return "Expectation Failed";
	case 422: return "Unprocessable Content";
	case 426: return "Upgrade Required";
	case 429: return "Too Many Requests";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 502: return "Bad Gateway";
	case 503: return "Service Unavailable";
	case 504: return "Gateway Timeout";
	case 505: return "HTTP Version Not Supported";
	default:  return "Unknown";
	}
}

/* ---- lines ---- */

static void put(tt_http_writer *w, const char *at, size_t len)
{
	if (w->rc < 0)
		return;
	if (len > w->cap - w->len) {
		w->rc = -EMSGSIZE;
		return;
	}
	memcpy(w->buf + w->len, at, len);
	w->len += len;
}

static void put_text(tt_http_writer *w, const char *text)
{
	put(w, text, strlen(text));
}

static void put_number(tt_http_writer *w, uint64_t value)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	put(w, digits + i, sizeof(digits) - i);
}

void tt_http_write_begin(tt_http_writer *w, char *buf, size_t cap, int status)
{
	*w = (tt_http_writer){ .buf = buf, .cap = cap };
	if (status < 100 || status > 599) {
		w->rc = -EINVAL;
		return;
	}
	put_text(w, "HTTP/1.1 ");
	put_number(w, (uint64_t)status);
	put_text(w, " ");
	put_text(w, tt_http_reason(status));
	put_text(w, "\r\n");
}

void tt_http_write_field(tt_http_writer *w, const char *name, const char *value)
{
	if (w->rc < 0)
		return;
	if (!tt_http_is_token(name, strlen(name)) || !tt_http_is_value(value, strlen(value))) {
		w->rc = -EINVAL;
		return;
	}
	put_text(w, name);
	put_text(w, ": ");
	put_text(w, value);
	put_text(w, "\r\n");
}

void tt_http_write_number(tt_http_writer *w, const char *name, uint64_t value)
{
	put_text(w, name);
	put_text(w, ": ");
	put_number(w, value);
	put_text(w, "\r\n");
}

void tt_http_write_lines(tt_http_writer *w, const char *lines, size_t len)
{
	put(w, lines, len);
}

int tt_http_write_end(tt_http_writer *w)
{
	put_text(w, "\r\n");
	return w->rc < 0 ? w->rc : (int)w->len;
}

/* ---- the date ---- */

struct date {
	int year, month, day; /* month and day from 1 */
};

/* Days since 1970-01-01 to a date of the Gregorian calendar: Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that the leap
 * day is the last of its year, and repeat every 400. */
static struct date date_of_days(int64_t days)
{
	int64_t from_0000 = days + 719468;
	int64_t era = (from_0000 >= 0 ? from_0000 : from_0000 - 146096) / 146097;
	int64_t day_of_era = from_0000 - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
			       day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t march_month = (5 * day_of_year + 2) / 153;
	struct date d;

	d.day = (int)(day_of_year - (153 * march_month + 2) / 5 + 1);
	d.month = (int)(march_month < 10 ? march_month + 3 : march_month - 9);
	d.year = (int)(year_of_era + era * 400 + (d.month <= 2));
	return d;
}

static void put_digits(char *at, int value, int digits)
{
	while (digits-- > 0) {
		at[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

void tt_http_write_date(tt_http_writer *w, int64_t unix_seconds)
{
	static const char days[] = "ThuFriSatSunMonTueWed"; /* 1970-01-01 was a Thursday */
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char line[] = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
	char *at = line + 6;
	int64_t day = unix_seconds / 86400;
	int second = (int)(unix_seconds % 86400);
	struct date d;

	if (unix_seconds < -62167219200 || unix_seconds > 253402300799) {
		if (w->rc == 0)
			w->rc = -EINVAL;
		return;
	}
	if (second < 0) {
		second += 86400;
		day--;
	}
	d = date_of_days(day);
	memcpy(at, days + 3 * ((day % 7 + 7) % 7), 3);
	put_digits(at + 5, d.day, 2);
	memcpy(at + 8, months + 3 * (d.month - 1), 3);
	put_digits(at + 12, d.year, 4);
	put_digits(at + 17, second / 3600, 2);
	put_digits(at + 20, second / 60 % 60, 2);
	put_digits(at + 23, second % 60, 2);
	put(w, line, sizeof(line) - 1);
}

/* ---- what handlers add ---- */

int tt_http_add_header(tt_http_response *res, const char *name, const char *value)
{
	tt_http_writer w = {
		.buf = res->extra,
		.cap = sizeof(res->extra),
		.len = res->extra_len,
	};

	tt_http_write_field(&w, name, value);
	if (w.rc == 0)
		res->extra_len = w.len;
	return w.rc;
}

void tt_http_set_body(tt_http_response *res, const char *content_type, const char *body, size_t len,
		      void (*release)(void *body))
{
	if (res->release)
		res->release((void *)(uintptr_t)res->body);
	res->content_type = content_type;
	res->body = body;
	res->body_len = len;
	res->release = release;
}
