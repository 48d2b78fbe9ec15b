/* SPDX-License-Identifier: MIT */
/*
 * tutti.h - the whole public interface but <tutti/testing.h>: what a program includes.
 */
#ifndef TUTTI_TUTTI_H
#define TUTTI_TUTTI_H

#include <tutti/base.h>
#include <tutti/blocking.h>
#include <tutti/channel.h>
#include <tutti/error.h>
#include <tutti/group.h>
#include <tutti/mutex.h>
#include <tutti/net.h>
#include <tutti/notify.h>
#include <tutti/runtime.h>
#include <tutti/scope.h>
#include <tutti/select.h>
#include <tutti/semaphore.h>
#include <tutti/signal.h>
#include <tutti/task.h>
#include <tutti/time.h>
#include <tutti/trace.h>
#include <tutti/when.h>

#endif
