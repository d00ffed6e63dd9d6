/* Processes and threads that wait for each other: pipes, futexes, poll. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RING	12
#define LAPS	60

/* A number goes round, and everybody adds to it. */
static void ring(void)
{
	int pipes[RING][2], children[RING], i, lap, number = 0;

	for (i = 0; i < RING; i++)
		if (pipe(pipes[i]))
			give_up("pipe");
	for (i = 1; i < RING; i++) {
		children[i] = fork();
		if (children[i] != 0)
			continue;
		for (lap = 0; lap < LAPS; lap++) {
			if (read(pipes[i - 1][0], &number, sizeof(number)) != sizeof(number))
				_exit(1);
			number += i;
			if (write(pipes[i][1], &number, sizeof(number)) != sizeof(number))
				_exit(1);
		}
		_exit(0);
	}
	for (lap = 0; lap < LAPS; lap++) {
		if (write(pipes[0][1], &number, sizeof(number)) != sizeof(number))
			give_up("write");
		if (read(pipes[RING - 1][0], &number, sizeof(number)) != sizeof(number))
			give_up("read");
	}
	for (i = 1; i < RING; i++)
		lap += outcome_of(children[i]);
	report("ring", "%d in %d laps", number, lap);
	for (i = 0; i < RING; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
}

/* More bytes than a pipe holds, in odd pieces. */
static void stream(void)
{
	uint64_t hash = HASH_START, state = 5, total = 0;
	unsigned char bytes[5000];
	int ends[2], child;
	long taken, i;

	if (pipe(ends))
		give_up("pipe");
	child = fork();
	if (child == 0) {
		close(ends[0]);
		for (i = 0; i < 300; i++) {
			size_t length = random_number(&state) % sizeof(bytes) + 1;

			memset(bytes, i, length);
			if (write(ends[1], bytes, length) != (long)length)
				_exit(1);
		}
		_exit(0);
	}
	close(ends[1]);
	while ((taken = read(ends[0], bytes, 777)) > 0) {
		total += taken;
		for (i = 0; i < taken; i++)
			hash = hashed(hash, bytes[i]);
	}
	close(ends[0]);
	report("stream", "%lu bytes %016lx status %d", total, hash, outcome_of(child));
}

static int turn;

static long futex(int *word, int operation, int value, const struct timespec *limit)
{
	return syscall(SYS_futex, word, operation, value, limit, NULL, 0);
}

static void *player(void *argument)
{
	int me = (long)argument, i;

	for (i = 0; i < 2000; i++) {
		int now;

		while ((now = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) % 2 != me)
			futex(&turn, FUTEX_WAIT, now, NULL);
		__atomic_store_n(&turn, now + 1, __ATOMIC_RELEASE);
		futex(&turn, FUTEX_WAKE, 1, NULL);
	}
	return NULL;
}

static void futexes(void)
{
	struct timespec limit = { 0, 20000000 };
	pthread_t threads[2];
	int word = 3;
	long i;

	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, player, (void *)i);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	report("turns", "%d", turn);
	i = futex(&word, FUTEX_WAIT, 4, NULL);
	report("other-value", "%ld %s", i, strerror(errno));
	i = futex(&word, FUTEX_WAIT, 3, &limit);
	report("timeout", "%ld %s", i, strerror(errno));
	i = futex(&word + 1, FUTEX_WAKE, 1, NULL);
	report("nobody", "%ld", i);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static int queue, taken, done;

static void *worker(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&lock);
	for (;;) {
		while (!queue && !done)
			pthread_cond_wait(&changed, &lock);
		if (!queue)
			break;
		queue--;
		taken++;
	}
	pthread_mutex_unlock(&lock);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void conditions(void)
{
	pthread_t threads[4];
	int i;

	pthread_barrier_init(&barrier, NULL, 5);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, worker, NULL);
	for (i = 0; i < 3000; i++) {
		pthread_mutex_lock(&lock);
		queue++;
		pthread_cond_signal(&changed);
		pthread_mutex_unlock(&lock);
	}
	pthread_mutex_lock(&lock);
	done = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	report("conditions", "%d", taken);
}

static void waiting(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int counter = eventfd(0, 0), waiter = epoll_create1(0), child;
	struct pollfd poll_for = { counter, POLLIN, 0 };
	uint64_t value = 0;

	epoll_ctl(waiter, EPOLL_CTL_ADD, counter, &event);
	report("poll", "%d", poll(&poll_for, 1, 10));
	child = fork();
	if (child == 0) {
		value = 5;
		usleep(20000);
		_exit(write(counter, &value, 8) != 8);
	}
	report("epoll", "%d", epoll_wait(waiter, &event, 1, 10000));
	if (read(counter, &value, 8) != 8)
		give_up("read");
	report("eventfd", "%lu status %d", value, outcome_of(child));
}

/* A robust way to end: the reader is gone. */
static void broken(void)
{
	int ends[2], child;

	child = fork();
	if (child == 0) {
		if (pipe(ends))
			_exit(1);
		close(ends[0]);
		_exit(write(ends[1], "x", 1) == 1);
	}
	report("broken", "%d", outcome_of(child));
}

void pipes(void)
{
	ring();
	stream();
	futexes();
	conditions();
	waiting();
	broken();
}
