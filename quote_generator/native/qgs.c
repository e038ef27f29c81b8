/* Quotes by the host's quote generation service (QGS), over vsock.
 *
 * Messages: Intel SGX/TDX DCAP, QuoteGeneration/quote_wrapper/qgs_msg_lib, version 1. On a stream
 * each has a prefix, its length as 32 bits big-endian; all else is little-endian:
 *
 *     header    u16 major = 1, u16 minor, u32 type, u32 size of the message, u32 error
 *     request   u32 report size, u32 id list size, report          (type 0)
 *     response  u32 selected id size, u32 quote size, id, quote    (type 1)
 *
 * Minor versions are compatible by definition and not compared.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "device.h"

#define MAJOR_VERSION 1
#define MINOR_VERSION 1
#define TYPE_REQUEST 0
#define TYPE_RESPONSE 1
#define RESPONSE_SIZE (QGS_HEADER_SIZE + 8) /* without id and quote */
/* The worker looks that often whether its caller is still there. */
#define POLL_MS 50

/* --- messages --- */

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value);
    put16(p + 2, value >> 16);
}

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
    return get16(p) | get16(p + 2) << 16;
}

uint32_t qgs_prefix(const uint8_t prefix[QGS_PREFIX_SIZE])
{
    return (uint32_t)prefix[0] << 24 | (uint32_t)prefix[1] << 16 | (uint32_t)prefix[2] << 8 |
           (uint32_t)prefix[3];
}

void qgs_encode_request(uint8_t message[QGS_REQUEST_SIZE], const uint8_t report[TDX_REPORT_SIZE])
{
    uint32_t size = QGS_REQUEST_SIZE - QGS_PREFIX_SIZE;
    uint8_t *p = message + QGS_PREFIX_SIZE;

    message[0] = (uint8_t)(size >> 24);
    message[1] = (uint8_t)(size >> 16);
    message[2] = (uint8_t)(size >> 8);
    message[3] = (uint8_t)size;
    put16(p, MAJOR_VERSION);
    put16(p + 2, MINOR_VERSION);
    put32(p + 4, TYPE_REQUEST);
    put32(p + 8, size);
    put32(p + 12, 0);
    put32(p + 16, TDX_REPORT_SIZE);
    put32(p + 20, 0);
    memcpy(p + 24, report, TDX_REPORT_SIZE);
}

const char *qgs_decode_response(const uint8_t *message, size_t size, const uint8_t **quote,
                                size_t *quote_size, uint32_t *status)
{
    uint64_t id_size;

    *status = 0;
    if (size < QGS_HEADER_SIZE)
        return "the QGS's answer ends within its header";
    if (get16(message) != MAJOR_VERSION)
        return "the QGS's answer is of another protocol version";
    if (get32(message + 4) != TYPE_RESPONSE)
        return "the QGS's answer is no answer to a request for a quote";
    if (get32(message + 8) != size)
        return "the QGS's answer has another size than it says";
    *status = get32(message + 12);
    if (*status)
        return "the QGS answered with an error";
    if (size < RESPONSE_SIZE)
        return "the QGS's answer is cut short";
    id_size = get32(message + 16);
    *quote_size = get32(message + 20);
    if (RESPONSE_SIZE + id_size + *quote_size != size)
        return "the sizes within the QGS's answer do not add up";
    *quote = message + RESPONSE_SIZE + id_size;
    return NULL;
}

/* --- the connection: never blocks, so that the deadline holds at every step --- */

struct line {
    tdx_job *job;
    int fd;
    char name[128]; /* of the other end, for errors */
};

static int fail(struct line *line, int sys_errno, const char *reason)
{
    switch (sys_errno) {
    case EINPROGRESS: /* our deadline, not a peer's word */
        return job_fail(line->job, TDX_TIMED_OUT, NEVER, ETIMEDOUT, reason, line->name, NULL);
    case ENOENT: /* a Unix socket that is not there */
    case EHOSTUNREACH:
    case ENETUNREACH:
        return job_fail(line->job, TDX_SERVICE_FAILED, A_FEW_TIMES, sys_errno, reason, line->name,
                        NULL);
    default:
        return job_fail_call(line->job, sys_errno, reason, line->name, NULL);
    }
}

/* await returns 0 when the socket is ready, EINPROGRESS when the time is over, or an errno. */
static int await(struct line *line, short events)
{
    struct pollfd waiting = {line->fd, events, 0};
    int left, n;

    while ((left = job_left_ms(line->job)) > 0) {
        n = poll(&waiting, 1, left < POLL_MS ? left : POLL_MS);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return errno;
    }
    return EINPROGRESS;
}

static int dial(struct line *line)
{
    const tdx_request *request = job_request(line->job);
    /* A union, for the family is read through another type than it was written through. */
    union {
        struct sockaddr any;
        struct sockaddr_vm vsock;
        struct sockaddr_un local;
    } address = {.vsock = {.svm_family = AF_VSOCK, .svm_cid = request->qgs_cid,
                           .svm_port = request->qgs_port}};
    socklen_t size = sizeof address.vsock;
    int error = 0;

    snprintf(line->name, sizeof line->name, "vsock:%u:%u", request->qgs_cid, request->qgs_port);
    if (request->qgs_socket) {
        snprintf(line->name, sizeof line->name, "%s", request->qgs_socket);
        size = sizeof address.local;
        memset(&address.local, 0, size);
        address.local.sun_family = AF_UNIX;
        if (strlen(request->qgs_socket) >= sizeof address.local.sun_path)
            return fail(line, ENAMETOOLONG, "the socket's path is too long");
        strcpy(address.local.sun_path, request->qgs_socket);
    }
    line->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (line->fd < 0)
        return fail(line, errno, "cannot make a socket");
    if (connect(line->fd, &address.any, size) != 0)
        error = errno;
    if (error == EINPROGRESS && (error = await(line, POLLOUT)) == 0) {
        size = sizeof error;
        if (getsockopt(line->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
            error = errno;
    }
    return error ? fail(line, error, "cannot connect to the QGS") : TDX_OK;
}

static int send_all(struct line *line, const uint8_t *data, size_t size)
{
    ssize_t n;
    int error;

    while (size) {
        if ((error = await(line, POLLOUT)))
            return fail(line, error, "cannot send to the QGS");
        n = send(line->fd, data, size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(line, errno, "cannot send to the QGS");
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return TDX_OK;
}

static int receive_all(struct line *line, uint8_t *data, size_t size)
{
    ssize_t n;
    int error;

    while (size) {
        if ((error = await(line, POLLIN)))
            return fail(line, error, "no answer from the QGS");
        n = recv(line->fd, data, size, 0);
        if (n == 0)
            return fail(line, ECONNRESET, "the QGS hung up");
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(line, errno, "cannot receive from the QGS");
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return TDX_OK;
}

/* converse asks for a quote and puts it into the answer. */
static int converse(struct line *line, const uint8_t report[TDX_REPORT_SIZE])
{
    tdx_answer *answer = job_answer(line->job);
    uint8_t request[QGS_REQUEST_SIZE], prefix[QGS_PREFIX_SIZE];
    const uint8_t *quote;
    size_t size, quote_size;
    uint32_t status;
    const char *wrong;
    int code;

    qgs_encode_request(request, report);
    if ((code = dial(line)) || (code = send_all(line, request, sizeof request)) ||
        (code = receive_all(line, prefix, sizeof prefix)))
        return code;
    size = qgs_prefix(prefix);
    if (size > sizeof answer->data)
        return job_fail(line->job, TDX_CORRUPT_ANSWER, A_FEW_TIMES, 0,
                        "the QGS's answer is too long", line->name, NULL);
    if ((code = receive_all(line, answer->data, size)))
        return code;
    wrong = qgs_decode_response(answer->data, size, &quote, &quote_size, &status);
    answer->status = status;
    if (wrong)
        return job_fail(line->job, status ? TDX_SERVICE_FAILED : TDX_CORRUPT_ANSWER, A_FEW_TIMES,
                        0, wrong, line->name, NULL);
    if (quote_size == 0)
        return job_fail(line->job, TDX_SERVICE_FAILED, A_FEW_TIMES, 0, "the quote is empty",
                        line->name, NULL);
    return accept_quote(line->job, quote, quote_size, line->name);
}

static int attempt(tdx_job *job, void *context)
{
    struct line line = {.job = job, .fd = -1};
    uint8_t report[TDX_REPORT_SIZE];
    int device, code = open_device(job, &device);

    (void)context;
    if (code)
        return code;
    code = read_report(job, device, report);
    close(device);
    if (code)
        return code;
    code = converse(&line, report);
    if (line.fd >= 0)
        close(line.fd);
    return code;
}

int quote_by_qgs(tdx_job *job)
{
    return job_attempt(job, attempt, NULL);
}
