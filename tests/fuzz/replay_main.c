/* SPDX-License-Identifier: MIT */
/*
 * replay_main.c - a fuzz target without a fuzzer: every file of a folder, in the order of names.
 *
 * Who calls it: Fuzz.cmake links it to each X_fuzz.c where libFuzzer does not; ctest runs it
 * with tests/fuzz/X. The name of an input is printed before it runs, so the last line of a
 * crash is the one to look at. No input at all is a failure: a corpus that was moved away
 * must not look like one that passed.
 */
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int is_shown(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static uint8_t *read_file(const char *path, size_t *ret_size)
{
	struct stat st;
	FILE *f = fopen(path, "rb");
	uint8_t *exact;

	if (f == NULL || fstat(fileno(f), &st) != 0) {
		perror(path);
		exit(1);
	}
	/* Exactly as long as the input, as under the fuzzer. */
	exact = fuzz_alloc((size_t)st.st_size);
	*ret_size = fread(exact, 1, (size_t)st.st_size, f);
	fclose(f);
	return exact;
}

static unsigned replay(const char *folder)
{
	struct dirent **names;
	int n = scandir(folder, &names, is_shown, alphasort);
	unsigned inputs = 0;

	if (n < 0) {
		perror(folder);
		exit(1);
	}
	for (int i = 0; i < n; i++) {
		char path[4096];
		size_t size;
		uint8_t *data;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		printf("%s\n", path);
		fflush(stdout);
		data = read_file(path, &size);
		LLVMFuzzerTestOneInput(data, size);
		free(data);
		free(names[i]);
		inputs++;
	}
	free(names);
	return inputs;
}

int main(int argc, char **argv)
{
	unsigned inputs = 0;

	for (int i = 1; i < argc; i++)
		inputs += replay(argv[i]);
	if (inputs == 0) {
		fprintf(stderr, "%s: no inputs; give the folders of a corpus\n", argv[0]);
		return 1;
	}
	/* No bytes at all are an input too. */
	LLVMFuzzerTestOneInput(NULL, 0);
	printf("%u inputs\n", inputs);
	return 0;
}
