/* SPDX-License-Identifier: MIT */
/*
 * rfc3339.c - times as text.
 *
 * Who calls it: event.c.
 *
 * Rejected    strptime and timegm: locale, no offsets, no fractions, "99:99" accepted.
 *             Reading into nanoseconds and writing back: it would lose leap seconds and
 *             the years before 1678.
 */
#include "rfc3339.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct moment {
	int year, month, day, hour, minute, second;
};

/* ---- the calendar ---- */

static bool is_leap(int year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* One day back or forth; the offset of a time never moves it further. */
static void shift_day(struct moment *m, int by)
{
	m->day += by;
	if (m->day < 1) {
		if (--m->month < 1) {
			m->month = 12;
			m->year--;
		}
		m->day = days_in(m->year, m->month);
	} else if (m->day > days_in(m->year, m->month)) {
		m->day = 1;
		if (++m->month > 12) {
			m->month = 1;
			m->year++;
		}
	}
}

static void shift_minutes(struct moment *m, int by)
{
	int minutes = m->hour * 60 + m->minute + by;

	if (minutes < 0) {
		minutes += 24 * 60;
		shift_day(m, -1);
	} else if (minutes >= 24 * 60) {
		minutes -= 24 * 60;
		shift_day(m, 1);
	}
	m->hour = minutes / 60;
	m->minute = minutes % 60;
}

/* ---- reading ---- */

struct reader {
	const char *at, *end;
};

static bool take_char(struct reader *r, const char *any_of)
{
	if (r->at == r->end || *r->at == '\0' || strchr(any_of, *r->at) == NULL)
		return false;
	r->at++;
	return true;
}

/* Exactly so many digits, no more than max. */
static bool take_number(struct reader *r, int digits, int max, int *ret)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		if (r->at == r->end || *r->at < '0' || *r->at > '9')
			return false;
		value = value * 10 + (*r->at++ - '0');
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

static bool take_date(struct reader *r, struct moment *m)
{
	return take_number(r, 4, 9999, &m->year) && take_char(r, "-") &&
	       take_number(r, 2, 12, &m->month) && m->month > 0 && take_char(r, "-") &&
	       take_number(r, 2, 31, &m->day) && m->day > 0 &&
	       m->day <= days_in(m->year, m->month);
}

static bool take_time(struct reader *r, struct moment *m)
{
	return take_char(r, "Tt") && take_number(r, 2, 23, &m->hour) && take_char(r, ":") &&
	       take_number(r, 2, 59, &m->minute) && take_char(r, ":") &&
	       take_number(r, 2, 60, &m->second);
}

/* With its dot, 0 to 10 characters. */
static bool take_fraction(struct reader *r, const char **ret_at, size_t *ret_len)
{
	*ret_at = r->at;
	*ret_len = 0;
	if (!take_char(r, "."))
		return true;
	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	*ret_len = (size_t)(r->at - *ret_at);
	return *ret_len >= 2 && *ret_len <= 10;
}

/* Minutes east of UTC. "-00:00" is a UTC whose local offset is not known: fine. */
static bool take_offset(struct reader *r, int *ret_minutes)
{
	int hours, minutes, sign;

	if (take_char(r, "Zz")) {
		*ret_minutes = 0;
		return true;
	}
	sign = r->at < r->end && *r->at == '-' ? -1 : 1;
	if (!take_char(r, "+-") || !take_number(r, 2, 23, &hours) || !take_char(r, ":") ||
	    !take_number(r, 2, 59, &minutes))
		return false;
	*ret_minutes = sign * (hours * 60 + minutes);
	return true;
}

/* ---- writing ---- */

static char *put_number(char *at, int value, int digits)
{
	for (int i = digits; i-- > 0; value /= 10)
		at[i] = (char)('0' + value % 10);
	return at + digits;
}

static int put_moment(const struct moment *m, const char *fraction, size_t fraction_len, char *text)
{
	char *at = put_number(text, m->year, 4);

	*at++ = '-';
	at = put_number(at, m->month, 2);
	*at++ = '-';
	at = put_number(at, m->day, 2);
	*at++ = 'T';
	at = put_number(at, m->hour, 2);
	*at++ = ':';
	at = put_number(at, m->minute, 2);
	*at++ = ':';
	at = put_number(at, m->second, 2);
	memcpy(at, fraction, fraction_len);
	at += fraction_len;
	*at++ = 'Z';
	*at = '\0';
	return (int)(at - text);
}

int rfc3339_normalise(const char *text, size_t len, char ret_text[RFC3339_SIZE])
{
	struct reader r = { text, text + len };
	struct moment m;
	const char *fraction;
	size_t fraction_len;
	int offset;

	if (!take_date(&r, &m) || !take_time(&r, &m) ||
	    !take_fraction(&r, &fraction, &fraction_len) || !take_offset(&r, &offset) ||
	    r.at != r.end)
		return -EINVAL;
	shift_minutes(&m, -offset);
	if (m.year < 0 || m.year > 9999)
		return -EINVAL;
	if (m.second == 60 && (m.hour != 23 || m.minute != 59))
		return -EINVAL;
	return put_moment(&m, fraction, fraction_len, ret_text);
}

/* Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years that begin in March
 * put the leap day last, and everything repeats after 400 of them. */
static void date_of_day(int64_t day, struct moment *m)
{
	int64_t z = day + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t march = (5 * of_year + 2) / 153;

	m->day = (int)(of_year - (153 * march + 2) / 5 + 1);
	m->month = (int)(march < 10 ? march + 3 : march - 9);
	m->year = (int)(year + era * 400 + (m->month <= 2));
}

int rfc3339_format(int64_t unix_ns, unsigned digits, char ret_text[RFC3339_SIZE])
{
	const int64_t second_ns = 1000000000;
	int64_t seconds = unix_ns / second_ns, day;
	int ns = (int)(unix_ns % second_ns), of_day;
	char fraction[10] = ".";
	struct moment m;

	if (ns < 0) {
		ns += (int)second_ns;
		seconds--;
	}
	day = seconds / 86400;
	of_day = (int)(seconds % 86400);
	if (of_day < 0) {
		of_day += 86400;
		day--;
	}
	date_of_day(day, &m);
	m.hour = of_day / 3600;
	m.minute = of_day / 60 % 60;
	m.second = of_day % 60;
	put_number(fraction + 1, ns, 9);
	return put_moment(&m, fraction, digits > 0 ? (digits < 9 ? digits : 9) + 1 : 0, ret_text);
}
