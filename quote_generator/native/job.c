/* Jobs: blocking system calls in a thread of their own, so that a caller never waits past its
 * deadline.
 *
 * The kernel may hold a reader of outblob for 30 s, and behind it everybody else who touches
 * configfs-tsm, even with mkdir. So the thread that enters the kernel is one nobody needs: the
 * worker. The caller waits for it on a condition variable and may leave. Whoever leaves last frees
 * the job, hence nothing is freed under the other's hands; a worker that comes back from the kernel
 * and finds its caller gone removes its entry and ends.
 *
 * A reader whom nobody waits for would hold up all others for nothing. The driver (tdx-guest.c)
 * waits with msleep_interruptible and mutex_lock_interruptible, so a caller who leaves sends its
 * worker a signal, the only one that workers take; its handler does nothing, but the read ends with
 * EINTR. Those who queue behind the reader wait for tsm.c's tsm_rwsem, and no signal reaches them:
 * they come back when the lock is free.
 *
 * Why a thread and not a child process: fork() of a process with threads and Python inside is the
 * greater risk, and costs more.
 */
#define _GNU_SOURCE
#include "job.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif

/* Thread-local storage of all loaded libraries is taken from it, and some bring a lot. */
#define WORKER_STACK_SIZE (1024 * 1024)
/* A signal that comes before the worker is in the kernel is lost: so it is sent that often. */
#define NUDGE_MS 5
#define FEW 6
#define FIRST_PAUSE_MS 2
#define LONGEST_PAUSE_MS 250

struct tdx_job {
    pthread_mutex_t lock; /* guards done, abandoned, holders */
    pthread_cond_t changed;
    bool done;
    bool abandoned; /* the caller has left: finish what must be, start nothing new */
    int holders;
    pthread_t worker; /* alive at least until done */
    int64_t deadline_ms;
    tdx_request request;
    char path[TDX_PATH_SIZE];
    char qgs_socket[TDX_PATH_SIZE];
    enum again again; /* of the last failure */
    tdx_answer answer;
};

/* --- the process: how many are at work, and the signal that calls workers back --- */

/* Workers, from their start to their end: they are bounded, so that callers that come again and
 * again to a kernel that hangs cannot pile up threads. The kernel makes one quote at a time. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int taken;
} room;

static int nudge; /* the signal's number, or 0: then workers stay until the kernel lets them go */

static void do_nothing(int number)
{
    (void)number;
}

/* catch_nudge sees to it that the signal does nothing; false where somebody else uses it. Without
 * SA_RESTART, system calls end with EINTR. */
static bool catch_nudge(int number)
{
    struct sigaction found, ours = {.sa_handler = do_nothing};

    sigemptyset(&ours.sa_mask);
    if (sigaction(number, NULL, &found) != 0)
        return false;
    if (found.sa_handler == SIG_DFL && !(found.sa_flags & SA_SIGINFO))
        return sigaction(number, &ours, NULL) == 0;
    return found.sa_handler == do_nothing;
}

static void init_changed(pthread_cond_t *changed)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void init_room(void)
{
    pthread_mutex_init(&room.lock, NULL);
    init_changed(&room.changed);
    room.taken = 0;
}

static void begin_child(void)
{
    init_room(); /* threads do not follow a fork */
    configfs_forked();
    legacy_forked();
}

static void prepare_process(void)
{
    init_room();
    pthread_atfork(NULL, NULL, begin_child);
    for (nudge = SIGRTMAX; nudge >= SIGRTMIN && !catch_nudge(nudge); nudge--)
        ;
    if (nudge < SIGRTMIN)
        nudge = 0;
}

static void be_prepared(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, prepare_process);
}

static bool take_room(void)
{
    bool found;

    pthread_mutex_lock(&room.lock);
    found = room.taken < TDX_MAX_JOBS;
    room.taken += found;
    pthread_mutex_unlock(&room.lock);
    return found;
}

static void give_room(void)
{
    pthread_mutex_lock(&room.lock);
    room.taken--;
    pthread_cond_signal(&room.changed);
    pthread_mutex_unlock(&room.lock);
}

/* --- jobs --- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct timespec at_ms(int64_t ms)
{
    return (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
}

const tdx_request *job_request(const tdx_job *job)
{
    return &job->request;
}

tdx_answer *job_answer(tdx_job *job)
{
    return &job->answer;
}

const tdx_answer *tdx_answer_of(const tdx_job *job)
{
    return &job->answer;
}

int tdx_wait_for_room(int timeout_ms)
{
    struct timespec until = at_ms(now_ms() + timeout_ms);
    bool found;

    be_prepared();
    pthread_mutex_lock(&room.lock);
    while (room.taken >= TDX_MAX_JOBS &&
           pthread_cond_timedwait(&room.changed, &room.lock, &until) == 0)
        ;
    found = room.taken < TDX_MAX_JOBS;
    pthread_mutex_unlock(&room.lock);
    return found;
}

bool job_is_abandoned(tdx_job *job)
{
    bool abandoned;

    pthread_mutex_lock(&job->lock);
    abandoned = job->abandoned;
    pthread_mutex_unlock(&job->lock);
    return abandoned;
}

int job_left_ms(tdx_job *job)
{
    int64_t left = job->deadline_ms - now_ms();

    pthread_mutex_lock(&job->lock);
    if (job->abandoned || left < 0)
        left = 0;
    pthread_mutex_unlock(&job->lock);
    return (int)left;
}

bool job_pause(tdx_job *job, int milliseconds)
{
    struct timespec until;
    int left = job_left_ms(job);

    until = at_ms(now_ms() + (milliseconds < left ? milliseconds : left));
    pthread_mutex_lock(&job->lock);
    while (!job->abandoned && pthread_cond_timedwait(&job->changed, &job->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&job->lock);
    return job_left_ms(job) > 0;
}

int job_fail(tdx_job *job, int code, enum again again, int sys_errno, const char *reason,
             const char *directory, const char *name)
{
    tdx_answer *answer = &job->answer;

    job->again = again;
    answer->code = code;
    answer->sys_errno = sys_errno;
    answer->reason = reason;
    answer->size = 0;
    snprintf(answer->path, sizeof answer->path, "%s%s%s", directory ? directory : "",
             name && *name ? "/" : "", name ? name : "");
    return code;
}

int job_fail_call(tdx_job *job, int sys_errno, const char *reason, const char *directory,
                  const char *name)
{
    int code = TDX_SERVICE_FAILED;
    enum again again = A_FEW_TIMES; /* EIO: the call to the host failed, perhaps only for now */

    switch (sys_errno) {
    case EBUSY:  /* an earlier request is still in flight */
    case EAGAIN: /* the report changed under the reader */
    case ENOMEM:
        code = TDX_BUSY;
        again = TO_THE_DEADLINE;
        break;
    case EINTR:
    case ETIMEDOUT: /* the kernel waited 30 s for the host */
        code = TDX_TIMED_OUT;
        again = TO_THE_DEADLINE;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        code = TDX_NOT_PERMITTED;
        again = NEVER;
        break;
    case ENOENT:
    case ENOTDIR:
    case ENXIO: /* no provider is registered, or it has just gone */
    case ENODEV:
    case ENOTTY:
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        code = TDX_NOT_AVAILABLE;
        again = NEVER;
        break;
    default:
        break;
    }
    return job_fail(job, code, again, sys_errno, reason, directory, name);
}

/* succeed clears what earlier attempts wrote about their failures. */
static int succeed(tdx_job *job)
{
    job->answer.code = TDX_OK;
    job->answer.sys_errno = 0;
    job->answer.status = 0;
    job->answer.reason = NULL;
    job->answer.path[0] = 0;
    return TDX_OK;
}

/* between returns a number between half and all of ms, so that rivals do not meet again and
 * again. */
static int between(int ms)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return ms / 2 + (int)(now.tv_nsec / 64 % (ms / 2 + 1));
}

int job_attempt(tdx_job *job, int (*attempt)(tdx_job *job, void *context), void *context)
{
    int code, pause = FIRST_PAUSE_MS, few = 0;

    for (;;) {
        code = attempt(job, context);
        if (code == TDX_OK)
            return succeed(job);
        if (job->again == NEVER || (job->again == A_FEW_TIMES && ++few == FEW))
            return code;
        if (!job_pause(job, between(pause)))
            return code;
        pause = pause * 2 < LONGEST_PAUSE_MS ? pause * 2 : LONGEST_PAUSE_MS;
    }
}

/* leave drops one of the two holds on the job and frees it with the last. Called with the lock
 * held, which it gives back. */
static void leave(tdx_job *job)
{
    bool last = --job->holders == 0;

    pthread_mutex_unlock(&job->lock);
    if (!last)
        return;
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

static void perform(tdx_job *job)
{
    if (job_is_abandoned(job)) {
        job_fail(job, TDX_TIMED_OUT, NEVER, 0, "nobody waits for the answer", NULL, NULL);
        return;
    }
    switch (job->request.operation) {
    case TDX_QUOTE_CONFIGFS:
        quote_by_configfs(job);
        break;
    case TDX_QUOTE_QGS:
        quote_by_qgs(job);
        break;
    case TDX_QUOTE_LEGACY:
        quote_by_legacy_ioctl(job);
        break;
    case TDX_REPORT:
        report_by_ioctl(job);
        break;
    case TDX_EXTEND_FILE:
        extend_by_file(job);
        break;
    case TDX_EXTEND_IOCTL:
        extend_by_ioctl(job);
        break;
    case TDX_READ_FILE:
        read_by_file(job);
        break;
    default:
        job_fail(job, TDX_NOT_AVAILABLE, NEVER, ENOSYS, "no such operation", NULL, NULL);
    }
}

static bool extends(const tdx_job *job)
{
    int operation = job_request(job)->operation;

    return operation == TDX_EXTEND_FILE || operation == TDX_EXTEND_IOCTL;
}

static void *work(void *argument)
{
    tdx_job *job = argument;

    /* From here on this thread has a descriptor table of its own. configfs commits inblob at its
     * LAST close: were the table shared, any fork() elsewhere in the process would copy our open
     * inblob into the child, and our close would commit nothing. Closing on unshare also means
     * that we keep no socket of the process open while we hang. Standard streams stay, lest our
     * files get their numbers. Kernels before 5.9 and strict seccomp filters refuse: then the
     * checks of generation and report data catch such an attempt, and it is repeated.
     *
     * Not so while a register is extended: there the process's files stay open, and with them the
     * log's locks. If it is killed meanwhile, nobody takes them, and the register for one that was
     * not extended, before the kernel is done. */
    if (!extends(job))
        syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_UNSHARE);

    perform(job);

    pthread_mutex_lock(&job->lock);
    job->done = true;
    pthread_cond_broadcast(&job->changed);
    leave(job);
    give_room();
    return NULL;
}

/* start_worker runs the job in a detached thread that takes no signals but the nudge: they are for
 * the caller's threads. Returns 0 or an errno. */
static int start_worker(tdx_job *job)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error;

    sigfillset(&all);
    if (nudge)
        sigdelset(&all, nudge);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, WORKER_STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&job->worker, &attributes, work, job);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static tdx_job *make_job(const tdx_request *request)
{
    tdx_job *job = malloc(sizeof *job);

    if (!job)
        return NULL;
    /* Not answer.data, which is the last member and is read up to answer.size only. */
    memset(job, 0, offsetof(tdx_job, answer.data));
    pthread_mutex_init(&job->lock, NULL);
    init_changed(&job->changed);
    job->holders = 2;
    job->deadline_ms = now_ms() + request->timeout_ms;
    job->request = *request;
    strcpy(job->path, request->path);
    job->request.path = job->path;
    if (request->qgs_socket) {
        strcpy(job->qgs_socket, request->qgs_socket);
        job->request.qgs_socket = job->qgs_socket;
    }
    return job;
}

tdx_job *tdx_start(const tdx_request *request, int *error)
{
    tdx_job *job;

    be_prepared();
    if (strlen(request->path) >= TDX_PATH_SIZE ||
        (request->qgs_socket && strlen(request->qgs_socket) >= TDX_PATH_SIZE)) {
        *error = ENAMETOOLONG;
        return NULL;
    }
    if (!take_room()) {
        *error = EBUSY;
        return NULL;
    }
    job = make_job(request);
    *error = job ? start_worker(job) : ENOMEM;
    if (*error) {
        if (job) {
            job->holders = 1;
            tdx_release(job);
        }
        give_room();
        return NULL;
    }
    return job;
}

/* wait_locked waits for done at most that long, with the lock held. */
static bool wait_locked(tdx_job *job, int timeout_ms)
{
    struct timespec until = at_ms(now_ms() + timeout_ms);

    while (!job->done && pthread_cond_timedwait(&job->changed, &job->lock, &until) == 0)
        ;
    return job->done;
}

int tdx_wait(tdx_job *job, int timeout_ms)
{
    bool done;

    pthread_mutex_lock(&job->lock);
    done = wait_locked(job, timeout_ms);
    pthread_mutex_unlock(&job->lock);
    return done;
}

void tdx_release(tdx_job *job)
{
    int64_t last_moment = now_ms() + TDX_GRACE_MS;

    pthread_mutex_lock(&job->lock);
    if (job->holders == 2 && !job->done) {
        job->abandoned = true;
        pthread_cond_broadcast(&job->changed);
        /* Call the worker back, so that it removes its entry now: others may go on, and the entry
         * is gone even if the process ends next. It lives while the lock is held and it is not
         * done. */
        do {
            if (nudge && catch_nudge(nudge))
                pthread_kill(job->worker, nudge);
        } while (!wait_locked(job, NUDGE_MS) && now_ms() < last_moment);
    }
    leave(job);
}
