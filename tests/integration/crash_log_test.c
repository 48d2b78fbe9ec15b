/* SPDX-License-Identifier: MIT */
/*
 * crash_log_test.c - a log that is only appended to, when the power is cut: recovery finds exactly
 * the first records that were written, all acknowledged ones among them, and goes on behind
 * them, also when the power is cut while it does. Logs that leave out a step are caught.
 *
 * A record is a head (its number, its length, a checksum of both and of the bytes) and bytes that
 * follow from the number. A batch of records is one write and one sync.
 *
 * test-on: sim2
 */
#include <fcntl.h>
#include <string.h>

#include <tutti/testing.h>
#include <tutti/tutti.h>

TT_TEST_MAIN()

#define SEEDS_DEFAULT 12
#define BATCHES 6
#define RECORD_MAX 900
#define LOG_MAX 32768
/* Numbers of records that recovery appends begin here. */
#define RECOVERED 1000u

struct head {
	uint32_t number, len, checksum;
};

struct notes {
	unsigned begun;                      /* records that a write was called for */
	unsigned acknowledged;               /* of those, synced */
};

/* What of it all a log does; the right one does everything. */
struct steps {
	bool checksum, sync, sync_folder, cut_tail;
};

static struct steps steps;

static uint32_t checksum_of(const struct head *h, const unsigned char *bytes)
{
	uint32_t sum = 2166136261u ^ h->number * 31u ^ h->len;

	for (size_t i = 0; i < h->len; i++)
		sum = (sum ^ bytes[i]) * 16777619u;
	return steps.checksum ? sum : 1;
}

static size_t length_of(uint32_t number)
{
	return 40 + number * 389u % (RECORD_MAX - 40);
}

static unsigned char byte_of(uint32_t number, size_t i)
{
	return (unsigned char)(1 + (number * 7 + i / 16) % 255);
}

/* Writes a record; its length. */
static size_t put_record(unsigned char *buf, uint32_t number)
{
	struct head h = { .number = number, .len = (uint32_t)length_of(number) };
	unsigned char *bytes = buf + sizeof(h);

	for (size_t i = 0; i < h.len; i++)
		bytes[i] = byte_of(number, i);
	h.checksum = checksum_of(&h, bytes);
	memcpy(buf, &h, sizeof(h));
	return sizeof(h) + h.len;
}

/* The length of a sound record, 0: there is none. */
static size_t sound_record(const unsigned char *buf, size_t n, uint32_t *ret_number)
{
	struct head h;

	if (n < sizeof(h))
		return 0;
	memcpy(&h, buf, sizeof(h));
	if (h.len > RECORD_MAX || h.len > n - sizeof(h) || h.checksum != checksum_of(&h, buf + sizeof(h)))
		return 0;
	*ret_number = h.number;
	return sizeof(h) + h.len;
}

static int sync_folder(void)
{
	tt_fd *fd;
	int rc;

	TT_TRY(tt_file_open(".", O_RDONLY | O_DIRECTORY, 0, &fd));
	rc = tt_file_fsync(fd);
	tt_fd_close(fd);
	return rc;
}

static int open_log(tt_fd **ret_fd)
{
	TT_TRY(tt_file_open("log", O_RDWR | O_CREAT, 0600, ret_fd));
	return steps.sync_folder ? sync_folder() : 0;
}

/* ---- writing ---- */

static int append_batches(tt_fd *fd, struct notes *n)
{
	static unsigned char buf[4 * (RECORD_MAX + sizeof(struct head))];
	uint64_t end = 0;

	for (unsigned batch = 0; batch < BATCHES; batch++) {
		size_t len = 0;

		for (unsigned i = 0; i <= batch % 4; i++)
			len += put_record(buf + len, n->begun++);
		TT_TRY(tt_file_pwrite_all(fd, buf, len, end, NULL));
		if (steps.sync)
			TT_TRY(tt_file_fdatasync(fd));
		end += len;
		n->acknowledged = n->begun;
	}
	return 0;
}

static TT_TASK(write_log, (struct notes *, n))
{
	tt_fd *fd;
	int rc;

	TT_TRY(open_log(&fd));
	rc = append_batches(fd, n);
	tt_fd_close(fd);
	return rc;
}

/* ---- recovery ---- */

/* Where the last sound record ends. */
static size_t sound_length(const unsigned char *buf, size_t n, uint32_t *ret_records)
{
	size_t at = 0, len;
	uint32_t number;

	for (*ret_records = 0; (len = sound_record(buf + at, n - at, &number)) > 0; ++*ret_records)
		at += len;
	return at;
}

static int recover_open(tt_fd *fd)
{
	static unsigned char buf[LOG_MAX];
	uint64_t size;
	uint32_t records;
	size_t end;

	TT_TRY(tt_file_size(fd, &size));
	TT_TRY(tt_file_pread_exact(fd, buf, (size_t)size, 0, NULL));
	end = sound_length(buf, (size_t)size, &records);
	if (steps.cut_tail && end < size) {
		TT_TRY(tt_file_truncate(fd, end));
		TT_TRY(tt_file_fsync(fd));
	}
	TT_TRY(tt_file_pwrite_all(fd, buf, put_record(buf, RECOVERED + records), end, NULL));
	return tt_file_fdatasync(fd);
}

/* Goes on behind what is sound, with one record of its own. */
static int recover(void *context)
{
	tt_fd *fd;
	int rc;

	(void)context;
	TT_TRY(open_log(&fd));
	rc = recover_open(fd);
	tt_fd_close(fd);
	return rc;
}

/* ---- judging ---- */

/* 0, or what is wrong with a log that was recovered. */
static const char *fault_of(const struct notes *n, const tt_sim_disk *disk)
{
	static unsigned char buf[LOG_MAX], expected[RECORD_MAX + sizeof(struct head)];
	int size = tt_sim_disk_get(disk, "log", buf, sizeof(buf));
	size_t at = 0, len, total = size > 0 ? (size_t)size : 0;
	uint32_t number, records = 0, own = 0;

	for (; (len = sound_record(buf + at, total - at, &number)) > 0; at += len) {
		if (number != (number < RECOVERED ? records : RECOVERED + records + own) || (number < RECOVERED && own > 0))
			return "records that are out of order";
		if (len != put_record(expected, number) || memcmp(buf + at, expected, len) != 0)
			return "a record that nobody wrote";
		if (number < RECOVERED)
			records++;
		else
			own++;
	}
	if (records < n->acknowledged)
		return "an acknowledged record is lost";
	if (records > n->begun)
		return "a record before it was written";
	return own == 0 ? "recovery did not go on" : at != total ? "bytes behind the end" : NULL;
}

static void expect_sound(void *context, const tt_sim_disk *disk, int rc)
{
	const char *fault = fault_of(context, disk);

	EXPECT_OK(rc);
	if (fault != NULL)
		EXPECT_STR_EQ(fault, "");
}

static unsigned faults_seen;

static void count_faults(void *context, const tt_sim_disk *disk, int rc)
{
	faults_seen += rc < 0 || fault_of(context, disk) != NULL;
}

static void torture(const char *what, tt_crash_options o)
{
	tt_crash_result sum = { 0 };

	for (unsigned i = 0; i < tt_test_seeds(SEEDS_DEFAULT); i++) {
		struct notes n = { 0 };
		tt_crash_result r = { 0 };

		o.seed = tt_test_seed() + i;
		o.recover = recover;
		o.context = &n;
		o.context_size = sizeof(n);
		EXPECT_EQ(TT_CRASH_TORTURE(&o, &r, write_log, &n), 0);
		sum.places += r.places;
		sum.disks += r.disks;
		sum.torn += r.torn;
	}
	tt_test_note("%s: %llu places, %llu recoveries, %llu torn", what, (unsigned long long)sum.places,
	             (unsigned long long)sum.disks, (unsigned long long)sum.torn);
}

/* Recovery finds a prefix with all that was acknowledged, and can be repeated. */
TT_TEST_PLAIN(crash, a_log_recovers_what_it_acknowledged)
{
	steps = (struct steps){ .checksum = true, .sync = true, .sync_folder = true, .cut_tail = true };
	torture("log", (tt_crash_options){ .check = expect_sound, .images = 16 });
	torture("log, power cut twice", (tt_crash_options){ .check = expect_sound, .images = 4, .cuts = 2 });
}

static void catch(const char *without, struct steps some)
{
	steps = some;
	faults_seen = 0;
	torture(without, (tt_crash_options){ .check = count_faults, .images = 16 });
	tt_test_note("    %u of them wrong", faults_seen);
	EXPECT_GT(faults_seen, 0);
}

/* Each step that a log leaves out loses or makes up records somewhere. */
TT_TEST_PLAIN(crash, a_log_that_leaves_out_a_step_is_caught)
{
	catch("no checksum", (struct steps){ .sync = true, .sync_folder = true, .cut_tail = true });
	catch("no sync", (struct steps){ .checksum = true, .sync_folder = true, .cut_tail = true });
	catch("no sync of the folder", (struct steps){ .checksum = true, .sync = true, .cut_tail = true });
	catch("the tail is left", (struct steps){ .checksum = true, .sync = true, .sync_folder = true });
}
