/* Quotes by configfs-tsm (Linux >= 6.7): Documentation/ABI/testing/configfs-tsm-report.
 *
 * A request is a directory. The kernel makes its attributes; we write 64 bytes of report data to
 * inblob and read the quote from outblob. Two kernel traits rule this file:
 *
 *   - inblob is committed at its last close, errors are lost, and an older quote may still be
 *     read afterwards. So every attempt has a directory of its own, and the generation and the
 *     quote's own report data are checked.
 *   - A failed quote is cached as an empty outblob until inblob is written again: the next attempt
 *     has a new directory, so it never sees it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "job.h"

#define PROVIDER "tdx_guest"
#define NAME_SIZE 128
/* No job runs that long (attester.py's limit is 600 s), so an entry this old is nobody's. */
#define ENTRY_MAX_AGE_S 3600

/* --- entry names: who made them, so that others can tell when nobody needs them any more --- */

struct owner {
    unsigned long pid_namespace;  /* a pid means something within it only, */
    unsigned long time_namespace; /* and what follows within this one */
    int pid;
    unsigned long long started; /* in clock ticks after boot: tells reused pids apart */
    long long born;             /* the entry's birth, in seconds after boot */
};

#define NAME_PRINT "cczoo-quote.%lu.%lu.%d.%llu.%lld.%016" PRIx64
#define NAME_SCAN "cczoo-quote.%lu.%lu.%d.%llu.%lld.%16[0-9a-f]%n"

static long long seconds_after_boot(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

/* start_time_of returns field 22 of /proc/<pid>/stat, or 0. */
static unsigned long long start_time_of(int pid)
{
    char path[64], text[1024], *end_of_comm;
    unsigned long long started = 0;
    ssize_t n;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return 0;
    text[n] = 0;
    end_of_comm = strrchr(text, ')'); /* the command's name may hold anything */
    if (!end_of_comm ||
        sscanf(end_of_comm + 1,
               " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &started) != 1)
        return 0;
    return started;
}

/* namespace_number tells this process's namespace of a kind apart from all others; 0 where the
 * kernel knows no such kind, or does not say. */
static unsigned long namespace_number(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 ? (unsigned long)status.st_ino : 0;
}

/* Looked up once: it costs as much as the request's own system calls. */
static struct owner process; /* without born */
static pthread_once_t looked_up = PTHREAD_ONCE_INIT;

static void look_up_process(void)
{
    process = (struct owner){
        .pid_namespace = namespace_number("/proc/self/ns/pid"),
        .time_namespace = namespace_number("/proc/self/ns/time"), /* Linux >= 5.6 */
        .pid = getpid(),
        .started = start_time_of(getpid()),
    };
}

void configfs_forked(void)
{
    static const pthread_once_t again = PTHREAD_ONCE_INIT;

    looked_up = again;
}

static struct owner this_process(void)
{
    struct owner us;

    pthread_once(&looked_up, look_up_process);
    us = process;
    us.born = seconds_after_boot();
    return us;
}

static bool parse_name(const char *name, struct owner *owner)
{
    char random[17];
    int end = 0;

    return sscanf(name, NAME_SCAN, &owner->pid_namespace, &owner->time_namespace, &owner->pid,
                  &owner->started, &owner->born, random, &end) == 6 &&
           name[end] == 0 && owner->pid > 0;
}

/* is_abandoned errs on the side of leaving an entry alone: a process that we cannot see, because
 * it is in another container, lives until its entry is too old to be true; and where clocks run
 * apart, no age is. */
static bool is_abandoned(const struct owner *owner, const struct owner *us)
{
    unsigned long long started;

    if (owner->time_namespace != us->time_namespace)
        return false;
    if (owner->born < us->born - ENTRY_MAX_AGE_S)
        return true;
    if (us->pid_namespace == 0 || owner->pid_namespace != us->pid_namespace)
        return false;
    if (kill(owner->pid, 0) != 0 && errno == ESRCH)
        return true;
    started = start_time_of(owner->pid);
    return started != 0 && owner->started != 0 && started != owner->started;
}

static void remove_entry(int root, const char *name)
{
    for (int i = 0; i < 20 && unlinkat(root, name, AT_REMOVEDIR) != 0; i++) {
        if (errno != EINTR && errno != EBUSY && errno != EAGAIN)
            return; /* nothing more to be done here; a later sweep takes it */
        usleep(1000);
    }
}

static void sweep(int root, const struct owner *us)
{
    struct owner owner;
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *item;

    if (!directory) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((item = readdir(directory)))
        if (parse_name(item->d_name, &owner) && is_abandoned(&owner, us))
            remove_entry(root, item->d_name);
    closedir(directory);
}

/* --- one attempt --- */

struct entry {
    tdx_job *job;
    int root; /* descriptor of the report directory */
    struct owner us;
    char name[NAME_SIZE];
};

/* path_of writes an attribute's path below the report directory; without one, the entry's. */
static const char *path_of(const struct entry *entry, const char *attribute, char *path, size_t size)
{
    snprintf(path, size, "%s%s%s", entry->name, attribute ? "/" : "", attribute ? attribute : "");
    return path;
}

static int fail(struct entry *entry, int code, enum again again, int sys_errno, const char *reason,
                const char *attribute)
{
    char path[NAME_SIZE + 32];

    return job_fail(entry->job, code, again, sys_errno, reason, job_request(entry->job)->path,
                    path_of(entry, attribute, path, sizeof path));
}

static int fail_call(struct entry *entry, int sys_errno, const char *reason, const char *attribute)
{
    char path[NAME_SIZE + 32];

    if (attribute && sys_errno == ENOENT)
        return fail(entry, TDX_CORRUPT_ANSWER, A_FEW_TIMES, ENOENT,
                    "somebody removed the entry while it was in use", attribute);
    if (attribute && sys_errno == EFBIG)
        return fail(entry, TDX_NOT_SUPPORTED, NEVER, EFBIG,
                    "the quote is larger than this kernel hands out: it is a DICE quote and the "
                    "kernel is before Linux 7.0, or the host claims more than its buffer holds",
                    attribute);
    return job_fail_call(entry->job, sys_errno, reason, job_request(entry->job)->path,
                         path_of(entry, attribute, path, sizeof path));
}

static int open_attribute(struct entry *entry, const char *attribute, int flags)
{
    char path[NAME_SIZE + 32];

    return openat(entry->root, path_of(entry, attribute, path, sizeof path), flags | O_CLOEXEC);
}

/* read_attribute reads to the end (st_size says 0 for outblob). Returns a code. */
static int read_attribute(struct entry *entry, const char *attribute, uint8_t *data,
                          size_t capacity, size_t *size)
{
    int fd = open_attribute(entry, attribute, O_RDONLY), error = 0;
    const char *reason;
    ssize_t n = 0;

    if (fd < 0)
        return fail_call(entry, errno, "cannot open the attribute", attribute);
    *size = 0;
    while (*size < capacity && (n = read(fd, data + *size, capacity - *size)) > 0)
        *size += (size_t)n;
    if (n < 0)
        error = errno;
    close(fd);
    if (error)
        return fail_call(entry, error, "cannot read the attribute", attribute);
    if (*size == capacity && (reason = tdx_unsupported(data, capacity)))
        return fail(entry, TDX_NOT_SUPPORTED, NEVER, 0, reason, attribute);
    if (*size == capacity)
        return fail(entry, TDX_CORRUPT_ANSWER, NEVER, EFBIG, "the attribute is too long",
                    attribute);
    return TDX_OK;
}

static int check_provider(struct entry *entry)
{
    tdx_answer *answer = job_answer(entry->job);
    uint8_t text[sizeof answer->provider];
    size_t size;
    int code = read_attribute(entry, "provider", text, sizeof text, &size);

    if (code)
        return code;
    memcpy(answer->provider, text, size);
    answer->provider[size] = 0;
    answer->provider[strcspn(answer->provider, "\n")] = 0;
    if (strcmp(answer->provider, PROVIDER) != 0)
        return fail(entry, TDX_NOT_AVAILABLE, NEVER, 0, "the provider is not " PROVIDER,
                    "provider");
    return TDX_OK;
}

static int read_generation(struct entry *entry, unsigned long *generation)
{
    uint8_t text[32];
    char *end;
    size_t size;
    int code = read_attribute(entry, "generation", text, sizeof text - 1, &size);

    if (code)
        return code;
    text[size] = 0;
    errno = 0;
    *generation = strtoul((char *)text, &end, 10);
    if (errno || end == (char *)text || (*end && *end != '\n'))
        return fail(entry, TDX_CORRUPT_ANSWER, NEVER, errno, "the attribute is not a number",
                    "generation");
    return TDX_OK;
}

static int expect_generation(struct entry *entry, unsigned long expected)
{
    unsigned long generation;
    int code = read_generation(entry, &generation);

    if (code)
        return code;
    if (generation != expected)
        return fail(entry, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0,
                    "the report data was not committed, or was overwritten", "generation");
    return TDX_OK;
}

static int write_report_data(struct entry *entry)
{
    const tdx_request *request = job_request(entry->job);
    int fd = open_attribute(entry, "inblob", O_WRONLY), error = 0;
    ssize_t n;

    if (fd < 0)
        return fail_call(entry, errno, "cannot open the attribute", "inblob");
    n = write(fd, request->report_data, TDX_REPORT_DATA_SIZE);
    if (n < 0)
        error = errno;
    else if (n != TDX_REPORT_DATA_SIZE)
        error = EIO;
    if (close(fd) != 0 && !error)
        error = errno;
    return error ? fail_call(entry, error, "cannot write the report data", "inblob") : TDX_OK;
}

static int read_quote(struct entry *entry)
{
    tdx_answer *answer = job_answer(entry->job);
    const char *wrong, *unsupported;
    size_t exact;
    int code =
        read_attribute(entry, "outblob", answer->data, sizeof answer->data, &answer->size);

    if (code)
        return code;
    if (answer->size == 0)
        return fail(entry, TDX_SERVICE_FAILED, A_FEW_TIMES, 0,
                    "the quote is empty, the kernel's way to say that the quote service failed",
                    "outblob");
    wrong = tdx_check_quote(answer->data, answer->size, job_request(entry->job)->report_data,
                            &exact);
    if (wrong && (unsupported = tdx_unsupported(answer->data, answer->size)))
        return fail(entry, TDX_NOT_SUPPORTED, NEVER, 0, unsupported, "outblob");
    if (wrong)
        return fail(entry, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0, wrong, "outblob");
    answer->size = exact;
    return TDX_OK;
}

/* check_wanted comes before each step that may take long: who had to wait in the kernel may have
 * lost its caller there. */
static int check_wanted(struct entry *entry)
{
    return job_is_abandoned(entry->job)
               ? fail(entry, TDX_TIMED_OUT, NEVER, 0, "nobody waits for the quote", NULL)
               : TDX_OK;
}

static int use_entry(struct entry *entry)
{
    unsigned long before;
    int code;

    if ((code = check_wanted(entry)) || (code = check_provider(entry)) ||
        (code = read_generation(entry, &before)) || (code = write_report_data(entry)) ||
        (code = expect_generation(entry, before + 1)) || (code = check_wanted(entry)) ||
        (code = read_quote(entry)))
        return code;
    return expect_generation(entry, before + 1);
}

/* attempt makes an entry, uses it, and removes it whatever came of it. */
static int attempt(tdx_job *job, void *context)
{
    struct entry *entry = context;
    const struct owner *us = &entry->us;
    uint64_t random;
    int code;

    (void)job;
    entry->name[0] = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        return fail_call(entry, errno, "cannot draw a random name", NULL);
    snprintf(entry->name, sizeof entry->name, NAME_PRINT, us->pid_namespace, us->time_namespace,
             us->pid, us->started, us->born, random);
    if (mkdirat(entry->root, entry->name, 0700) != 0)
        return fail_call(entry, errno, "cannot make an entry", NULL);
    code = use_entry(entry);
    remove_entry(entry->root, entry->name);
    return code;
}

int quote_by_configfs(tdx_job *job)
{
    const tdx_request *request = job_request(job);
    struct entry entry = {.job = job, .us = this_process()};
    int code;

    entry.root = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (entry.root < 0)
        return fail_call(&entry, errno, "cannot open the report directory", NULL);
    if (request->sweep)
        sweep(entry.root, &entry.us);
    code = job_attempt(job, attempt, &entry);
    close(entry.root);
    return code;
}
