/* SPDX-License-Identifier: MIT */
/* inspect.h - see inspect.c; runtime.c says which runtime runs. */
#ifndef TTI_RT_INSPECT_H
#define TTI_RT_INSPECT_H

#include <tutti/base.h>

struct tti_runtime;

struct tti_inspect {
	char magic[8];                       /* changes when the meaning of anything here does */
	struct tti_runtime *runtime;         /* NULL when none runs; its own thread writes */
	struct {
		char name[28];               /* "struct.field"; "" ends the table */
		uint32_t offset;             /* bytes */
	} fields[24];
};

/* Exported so that it survives a strip; for debuggers only. */
extern TT_API struct tti_inspect tt_inspect_;

#endif
