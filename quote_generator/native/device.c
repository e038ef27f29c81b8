/* The guest device, /dev/tdx_guest: TDREPORT of every kernel, and quotes of older vendor kernels.
 *
 * Layouts: include/uapi/linux/tdx-guest.h of Linux 6.2 and later for the TDREPORT; the drivers of
 * Intel's and cloud vendors' kernels 5.10 to 6.6 for GET_QUOTE, whose buffer is the one of the
 * TDX Guest-Host-Communication Interface, TDG.VP.VMCALL<GetQuote>.
 */
#define _GNU_SOURCE
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* --- TDREPORT --- */

struct report_request {
    uint8_t report_data[TDX_REPORT_DATA_SIZE];
    uint8_t report[TDX_REPORT_SIZE];
};

#define GET_REPORT0 _IOWR('T', 1, struct report_request)
#define REPORT_TYPE_TDX 0x81
#define REPORT_DATA_OFFSET 128

int open_device(tdx_job *job, int *fd)
{
    const char *path = job_request(job)->path;

    *fd = open(path, O_RDWR | O_CLOEXEC);
    return *fd < 0 ? job_fail_call(job, errno, "cannot open the guest device", path, NULL) : TDX_OK;
}

int read_report(tdx_job *job, int fd, uint8_t report[TDX_REPORT_SIZE])
{
    const tdx_request *request = job_request(job);
    struct report_request exchange = {0};

    memcpy(exchange.report_data, request->report_data, TDX_REPORT_DATA_SIZE);
    if (ioctl(fd, GET_REPORT0, &exchange) != 0)
        return job_fail_call(job, errno, "cannot get a TDREPORT", request->path, NULL);
    memcpy(report, exchange.report, TDX_REPORT_SIZE);
    if (report[0] != REPORT_TYPE_TDX)
        return job_fail(job, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0, "the report is no TDREPORT",
                        request->path, NULL);
    if (memcmp(report + REPORT_DATA_OFFSET, request->report_data, TDX_REPORT_DATA_SIZE) != 0)
        return job_fail(job, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0,
                        "the TDREPORT carries other report data than was asked for",
                        request->path, NULL);
    return TDX_OK;
}

static int attempt_report(tdx_job *job, void *context)
{
    tdx_answer *answer = job_answer(job);
    int fd, code = open_device(job, &fd);

    (void)context;
    if (code)
        return code;
    code = read_report(job, fd, answer->data);
    if (code == TDX_OK)
        answer->size = TDX_REPORT_SIZE;
    close(fd);
    return code;
}

int report_by_ioctl(tdx_job *job)
{
    return job_attempt(job, attempt_report, NULL);
}

/* --- a register's file in sysfs, for those who have no guest device --- */

static int attempt_read(tdx_job *job, void *context)
{
    tdx_answer *answer = job_answer(job);
    const char *path = job_request(job)->path;
    int fd = open(path, O_RDONLY | O_CLOEXEC), error;
    ssize_t n;

    (void)context;
    if (fd < 0)
        return job_fail_call(job, errno, "cannot open the register", path, NULL);
    n = read(fd, answer->data, TDX_DIGEST_SIZE + 1);
    error = errno;
    close(fd);
    if (n < 0)
        return job_fail_call(job, error, "cannot read the register", path, NULL);
    if (n != TDX_DIGEST_SIZE)
        return job_fail(job, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0, "the register has a wrong size",
                        path, NULL);
    answer->size = TDX_DIGEST_SIZE;
    return TDX_OK;
}

int read_by_file(tdx_job *job)
{
    return job_attempt(job, attempt_read, NULL);
}

/* --- extending a register: done once, for what was done cannot be undone or asked about --- */

struct extend_request {
    uint8_t digest[TDX_DIGEST_SIZE];
    uint8_t index;
};

int extend_by_file(tdx_job *job)
{
    const tdx_request *request = job_request(job);
    int fd = open(request->path, O_WRONLY | O_CLOEXEC), error = 0;
    ssize_t n;

    if (fd < 0)
        return job_fail_call(job, errno, "cannot open the register", request->path, NULL);
    n = write(fd, request->digest, TDX_DIGEST_SIZE);
    if (n != TDX_DIGEST_SIZE)
        error = n < 0 ? errno : EIO;
    if (close(fd) != 0 && !error)
        error = errno;
    return error ? job_fail_call(job, error, "cannot extend the register", request->path, NULL)
                 : TDX_OK;
}

int extend_by_ioctl(tdx_job *job)
{
    /* Drivers differ in the direction that the number declares. */
    static const unsigned long numbers[] = {
        _IOW('T', 3, struct extend_request),
        _IOR('T', 3, struct extend_request),
    };
    const tdx_request *request = job_request(job);
    int fd, error = ENOTTY, code = open_device(job, &fd);

    if (code)
        return code;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct extend_request exchange = {.index = request->index};

        memcpy(exchange.digest, request->digest, TDX_DIGEST_SIZE);
        error = ioctl(fd, numbers[i], &exchange) == 0 ? 0 : errno;
        if (error != ENOTTY && error != EINVAL) /* what drivers say to a number unknown to them */
            break;
    }
    close(fd);
    return error ? job_fail_call(job, error, "cannot extend the register", request->path, NULL)
                 : TDX_OK;
}

int accept_quote(tdx_job *job, const uint8_t *quote, size_t size, const char *path)
{
    tdx_answer *answer = job_answer(job);
    const char *wrong = tdx_check_quote(quote, size, job_request(job)->report_data, &answer->size);
    const char *unsupported = wrong ? tdx_unsupported(quote, size) : NULL;

    if (unsupported)
        return job_fail(job, TDX_NOT_SUPPORTED, NEVER, 0, unsupported, path, NULL);
    if (wrong)
        return job_fail(job, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0, wrong, path, NULL);
    memmove(answer->data, quote, answer->size);
    strcpy(answer->provider, "tdx_guest");
    return TDX_OK;
}

/* --- GET_QUOTE of older kernels --- */

#define BUFFER_SIZE 16384
#define POLL_MS 10

#define STATUS_DONE 0ull
#define STATUS_IN_FLIGHT 0xffffffffffffffffull
#define STATUS_UNAVAILABLE 0x8000000000000001ull

struct quote_buffer {
    uint64_t version;
    uint64_t status; /* the host's to change while it works: see status_of */
    uint32_t in_size;
    uint32_t out_size; /* the host's as well: see out_size_of */
    uint8_t data[BUFFER_SIZE - 24];
};

/* status_of reads the status so that what is read of the buffer afterwards is not older. */
static uint64_t status_of(const struct quote_buffer *buffer)
{
    return __atomic_load_n(&buffer->status, __ATOMIC_ACQUIRE);
}

/* out_size_of reads the size once, so that the one that is checked is the one that is used. */
static size_t out_size_of(const struct quote_buffer *buffer)
{
    return __atomic_load_n(&buffer->out_size, __ATOMIC_RELAXED);
}

/* Buffers of quotes that were still in flight when their request had failed, or its caller left. A
 * driver may hold on to them, so they are kept until their status changes: better lose one than
 * have the host write into memory that is somebody else's by then. With MAX_LOST of them nobody is
 * given a buffer; those who were given theirs before may add them. */
#define MAX_LOST 16

static struct {
    pthread_mutex_t lock;
    struct quote_buffer *buffers[MAX_LOST + TDX_MAX_JOBS];
    size_t count;
} lost = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* free_lost frees those that the host is done with; false where too many are left. */
static bool free_lost(void)
{
    bool room;

    pthread_mutex_lock(&lost.lock);
    for (size_t i = lost.count; i-- > 0;)
        if (status_of(lost.buffers[i]) != STATUS_IN_FLIGHT) {
            free(lost.buffers[i]);
            lost.buffers[i] = lost.buffers[--lost.count];
            lost.buffers[lost.count] = NULL; /* else a leak here would not look like one */
        }
    room = lost.count < MAX_LOST;
    pthread_mutex_unlock(&lost.lock);
    return room;
}

static void lose(struct quote_buffer *buffer)
{
    pthread_mutex_lock(&lost.lock);
    lost.buffers[lost.count++] = buffer;
    pthread_mutex_unlock(&lost.lock);
}

void legacy_forked(void)
{
    static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

    lost.lock = unlocked;
    lost.count = 0; /* nobody writes to the child's copies, nor to their status */
}

struct quote_request {
    uint64_t buffer;
    uint64_t size;
};

/* The drivers agree on the argument, not on the number. A number that a driver does not know gives
 * ENOTTY or, in the oldest, EINVAL; the last one means "verify a report" to some, which refuse our
 * argument as they must. */
static const unsigned long get_quote_numbers[] = {
    _IOR('T', 4, struct quote_request),
    _IOWR('T', 4, struct quote_request),
    _IOWR('T', 2, struct quote_request),
};

struct legacy {
    struct quote_buffer *buffer; /* or NULL */
    bool raw;      /* hand the host the bare TDREPORT, as GHCI says, not a QGS message */
    bool answered; /* the host has answered to this form, well or badly */
};

static int call_get_quote(tdx_job *job, int fd, struct quote_buffer *buffer)
{
    for (size_t i = 0; i < sizeof get_quote_numbers / sizeof *get_quote_numbers; i++) {
        /* Made anew each time: a read request may write to it even where it fails. */
        struct quote_request request = {(uintptr_t)buffer, BUFFER_SIZE};

        if (ioctl(fd, get_quote_numbers[i], &request) == 0)
            return TDX_OK;
        if (errno != ENOTTY && errno != EINVAL)
            return job_fail_call(job, errno, "cannot get a quote", job_request(job)->path, NULL);
    }
    return job_fail(job, TDX_NOT_AVAILABLE, NEVER, errno,
                    "the device's driver does not offer quotes", job_request(job)->path, NULL);
}

static int await_quote(tdx_job *job, const struct quote_buffer *buffer)
{
    const char *path = job_request(job)->path;
    uint64_t status;

    while ((status = status_of(buffer)) == STATUS_IN_FLIGHT)
        if (!job_pause(job, POLL_MS))
            return job_fail(job, TDX_TIMED_OUT, NEVER, 0, "the quote is still in flight", path,
                            NULL);
    if (status == STATUS_DONE)
        return TDX_OK;
    job_answer(job)->status = status;
    return job_fail(job, TDX_SERVICE_FAILED, A_FEW_TIMES, 0,
                    status == STATUS_UNAVAILABLE ? "the host has no quote service"
                                                 : "the quote service failed",
                    path, NULL);
}

/* unwrap_quote takes the quote as it is, or out of a QGS response. It looks at a copy, which the
 * host cannot change after the look. */
static int unwrap_quote(tdx_job *job, const struct quote_buffer *buffer)
{
    const char *path = job_request(job)->path, *wrong;
    uint8_t *data = job_answer(job)->data;
    const uint8_t *quote;
    size_t size = out_size_of(buffer), quote_size;
    uint32_t status = 0;

    if (size == 0)
        return job_fail(job, TDX_SERVICE_FAILED, A_FEW_TIMES, 0, "the quote is empty", path, NULL);
    if (size > sizeof buffer->data)
        return job_fail(job, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0,
                        "the quote is said to be longer than its buffer", path, NULL);
    memcpy(data, buffer->data, size);
    if (size < QGS_PREFIX_SIZE || qgs_prefix(data) != size - QGS_PREFIX_SIZE)
        return accept_quote(job, data, size, path);
    wrong = qgs_decode_response(data + QGS_PREFIX_SIZE, size - QGS_PREFIX_SIZE, &quote,
                                &quote_size, &status);
    job_answer(job)->status = status;
    if (wrong)
        return job_fail(job, status ? TDX_SERVICE_FAILED : TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0,
                        wrong, path, NULL);
    return accept_quote(job, quote, quote_size, path);
}

/* drop_buffer parts with the buffer, if there is one. */
static void drop_buffer(struct legacy *legacy)
{
    if (legacy->buffer && status_of(legacy->buffer) == STATUS_IN_FLIGHT)
        lose(legacy->buffer);
    else
        free(legacy->buffer);
    legacy->buffer = NULL;
}

/* take_buffer sees to it that there is a buffer which the host is not at. A driver that gives up on
 * a quote (ETIMEDOUT, EINTR) leaves the last attempt's buffer in flight. */
static int take_buffer(tdx_job *job, struct legacy *legacy)
{
    drop_buffer(legacy);
    if (!free_lost())
        return job_fail(job, TDX_BUSY, NEVER, EBUSY, "too many earlier quotes are still in flight",
                        job_request(job)->path, NULL);
    legacy->buffer = aligned_alloc(4096, BUFFER_SIZE);
    return legacy->buffer ? TDX_OK
                          : job_fail_call(job, ENOMEM, "cannot allocate a buffer", NULL, NULL);
}

static void fill_buffer(struct legacy *legacy, const uint8_t report[TDX_REPORT_SIZE])
{
    struct quote_buffer *buffer = legacy->buffer;

    memset(buffer, 0, sizeof *buffer);
    buffer->version = 1;
    if (legacy->raw) {
        memcpy(buffer->data, report, TDX_REPORT_SIZE);
        buffer->in_size = TDX_REPORT_SIZE;
    } else {
        qgs_encode_request(buffer->data, report);
        buffer->in_size = QGS_REQUEST_SIZE;
    }
}

/* attempt_legacy asks in one form and, if the host refuses, lets the next attempt use the other:
 * hosts of that age pass the bytes on to the QGS as they are, later ones wrap a bare TDREPORT. */
static int attempt_legacy(tdx_job *job, void *context)
{
    struct legacy *legacy = context;
    uint8_t report[TDX_REPORT_SIZE];
    int fd, code = open_device(job, &fd);

    if (code)
        return code;
    if ((code = read_report(job, fd, report)) == TDX_OK &&
        (code = take_buffer(job, legacy)) == TDX_OK) {
        fill_buffer(legacy, report);
        if ((code = call_get_quote(job, fd, legacy->buffer)) == TDX_OK &&
            (code = await_quote(job, legacy->buffer)) == TDX_OK) {
            legacy->answered = true;
            code = unwrap_quote(job, legacy->buffer);
        }
        if (code == TDX_SERVICE_FAILED && !legacy->answered)
            legacy->raw = !legacy->raw;
    }
    close(fd);
    return code;
}

int quote_by_legacy_ioctl(tdx_job *job)
{
    struct legacy legacy = {0};
    int code = job_attempt(job, attempt_legacy, &legacy);

    drop_buffer(&legacy);
    return code;
}
