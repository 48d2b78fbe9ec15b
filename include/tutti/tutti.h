/* SPDX-License-Identifier: MIT */
/*
 * tutti.h - the whole public interface but <tutti/testing.h>: what a program includes.
 */
#ifndef TUTTI_TUTTI_H
#define TUTTI_TUTTI_H

#include <tutti/barrier.h>
#include <tutti/background.h>
#include <tutti/base.h>
#include <tutti/blocking.h>
#include <tutti/broadcast.h>
#include <tutti/channel.h>
#include <tutti/condvar.h>
#include <tutti/dns.h>
#include <tutti/error.h>
#include <tutti/file.h>
#include <tutti/group.h>
#include <tutti/local.h>
#include <tutti/mutex.h>
#include <tutti/net.h>
#include <tutti/notify.h>
#include <tutti/once.h>
#include <tutti/parallel.h>
#include <tutti/pool.h>
#include <tutti/process.h>
#include <tutti/runtime.h>
#include <tutti/rwlock.h>
#include <tutti/scope.h>
#include <tutti/select.h>
#include <tutti/semaphore.h>
#include <tutti/signal.h>
#include <tutti/sometimes.h>
#include <tutti/start.h>
#include <tutti/singleflight.h>
#include <tutti/stream.h>
#include <tutti/task.h>
#include <tutti/time.h>
#include <tutti/trace.h>
#include <tutti/watch.h>
#include <tutti/when.h>

#endif
