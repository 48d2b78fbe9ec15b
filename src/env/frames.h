/* SPDX-License-Identifier: MIT */
/* frames.h - the frames of the calling stack, and what an address in the code is called. */
#ifndef TTI_ENV_FRAMES_H
#define TTI_ENV_FRAMES_H

#include <stddef.h>

/* Of a function that follows frames itself: what a call leaves on a stack the memory sanitizer
 * takes for never set. */
#if defined(__clang__)
#define TTI_READS_FRAMES __attribute__((no_sanitize("memory")))
#else
#define TTI_READS_FRAMES
#endif

/* Return addresses of the caller's frames, innermost first; how many. The first call in a
 * process may allocate. */
int tti_env_frames(void **ret_frames, int max);
/* A return address as "function+0x1f (program+0x12345)", or less if less is known. */
void tti_env_frame_text(const void *frame, char *ret_buf, size_t n);

#endif
