/* SPDX-License-Identifier: MIT */
/* unix_test.c - Unix sockets: paths, abstract names, stale files. */
#include <sys/stat.h>
#include <unistd.h>

#include "net/net_testkit.h"

TT_TEST_MAIN()

static void fresh_path(char buf[64], const char *what)
{
	snprintf(buf, 64, "/tmp/tutti-%d-%s", (int)getpid(), what);
}

static void fresh_name(char buf[64], const char *what)
{
	snprintf(buf, 64, "@tutti-%d-%s", (int)getpid(), what);
}

static void greet(tt_fd *listener, const char *path)
{
	tt_fd *client, *server;
	tt_addr peer;
	char text[140];

	REQUIRE_OK(tt_unix_connect(path, &client));
	REQUIRE_OK(tt_accept(listener, &server, &peer));
	tt_addr_text(&peer, text, sizeof(text));
	EXPECT_STR_EQ(text, "unix:");
	EXPECT_OK(tt_fd_peer_text(client, text, sizeof(text)));
	EXPECT_STR_EQ(text + 5, path);
	EXPECT_EQ(tt_write(client, "h", 1), 1);
	EXPECT_EQ(tt_read(server, text, 1), 1);
	tt_fd_close(client);
	tt_fd_close(server);
}

/* A path is taken while somebody listens, and free afterwards: the file is gone. */
TT_TEST(unix_socket, path_lives_as_long_as_its_listener)
{
	tt_fd *listener, *fd = NULL;
	char path[64];

	fresh_path(path, "live");
	EXPECT_CODE(tt_unix_connect(path, &fd), TT_ENOENT);
	for (int i = 0; i < 2; i++) {
		REQUIRE_OK(tt_unix_listen(path, 0, &listener));
		greet(listener, path);
		EXPECT_CODE(tt_unix_listen(path, 0, &fd), TT_EADDRINUSE);
		EXPECT_EQ(fd, NULL);
		/* The question whether somebody listens was a connection too. */
		REQUIRE_OK(tt_accept(listener, &fd, NULL));
		tt_fd_close(fd);
		fd = NULL;
		tt_fd_close(listener);
		EXPECT_CODE(tt_unix_connect(path, &fd), TT_ENOENT);
	}
}

/* An abstract name has no file and vanishes with its listener. */
TT_TEST(unix_socket, abstract_name)
{
	tt_fd *listener, *fd = NULL;
	char name[64];

	fresh_name(name, "abs");
	REQUIRE_OK(tt_unix_listen(name, 0, &listener));
	greet(listener, name);
	EXPECT_CODE(tt_unix_listen(name, 0, &fd), TT_EADDRINUSE);
	tt_fd_close(listener);
	EXPECT_CODE(tt_unix_connect(name, &fd), TT_ECONNREFUSED);
	EXPECT_EQ(fd, NULL);
}

/* A socket's file that its server left behind is replaced. */
TT_TEST_ON(unix_socket, stale_file_is_replaced, TT_ON_REAL, "needs a file that outlives its socket")
{
	tt_fd *listener, *old, *fd = NULL;
	char path[64], kept[80];
	struct stat st;

	fresh_path(path, "stale");
	REQUIRE_OK(tt_unix_listen(path, 0, &old));
	/* Under another name the file survives the close. */
	snprintf(kept, sizeof(kept), "%s-kept", path);
	REQUIRE_EQ(rename(path, kept), 0);
	tt_fd_close(old);
	REQUIRE_EQ(rename(kept, path), 0);
	EXPECT_CODE(tt_unix_connect(path, &fd), TT_ECONNREFUSED);
	REQUIRE_OK(tt_unix_listen(path, 0, &listener));
	greet(listener, path);
	tt_fd_close(listener);
	EXPECT_EQ(stat(path, &st), -1);
}

/* A path that is an ordinary file is never removed. */
TT_TEST_ON(unix_socket, ordinary_file_is_left_alone, TT_ON_REAL, "needs a file")
{
	tt_fd *fd = NULL;
	char path[64];
	struct stat st;
	FILE *f;

	fresh_path(path, "file");
	f = fopen(path, "w");
	REQUIRE_TRUE(f != NULL);
	fclose(f);
	EXPECT_CODE(tt_unix_listen(path, 0, &fd), TT_EADDRINUSE);
	EXPECT_EQ(stat(path, &st), 0);
	unlink(path);
}

/* What cannot be a path is said. */
TT_TEST(unix_socket, bad_paths)
{
	char path[200], text[400];
	tt_fd *fd = NULL;
	tt_error e;

	memset(path, 'p', sizeof(path));
	path[150] = '\0';
	EXPECT_CODE(tt_unix_connect(path, &fd), TT_ENAMETOOLONG);
	EXPECT_CODE(tt_unix_listen(path, 0, &fd), TT_ENAMETOOLONG);
	tt_error_take(&e, TT_ENAMETOOLONG);
	tt_error_text(&e, text, sizeof(text));
	tt_error_fini(&e);
	EXPECT_TRUE(strstr(text, "150 bytes; a socket's has at most 107") != NULL);
	EXPECT_CODE(tt_unix_listen("", 0, &fd), TT_EINVAL);
	EXPECT_EQ(fd, NULL);
}

static TT_TASK(connect_late, (const char *, name))
{
	tt_fd *fd;

	TT_TRY(tt_unix_connect(name, &fd));
	tt_fd_close(fd);
	return 0;
}

/* A connect to a full backlog waits for room. */
TT_TEST(unix_socket, connect_waits_for_room_in_the_backlog)
{
	tt_fd *listener, *fd;
	char name[64];

	fresh_name(name, "full");
	REQUIRE_OK(tt_unix_listen(name, 1, &listener));
	{
		TT_GROUP(g);
		for (int i = 0; i < 8; i++)
			tt_go(&g, connect_late, name);
		REQUIRE_OK(tt_sleep(TT_MS(5)));
		for (int i = 0; i < 8; i++) {
			REQUIRE_OK(tt_accept(listener, &fd, NULL));
			tt_fd_close(fd);
		}
		EXPECT_OK(tt_group_end(&g, 0));
	}
	tt_fd_close(listener);
}
