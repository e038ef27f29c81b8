/* The C core of quote_generator: asks a Linux TD for its quote, in bounded time.
 *
 * A caller makes a request, starts a job for it, waits for the job as long as it likes, reads the
 * answer and releases the job:
 *
 *     tdx_job *job = tdx_start(&request, &error);
 *     while (!tdx_wait(job, 50)) { ... give up whenever it wants to ... }
 *     answer = tdx_answer_of(job);
 *     tdx_release(job);
 */
#ifndef TDX_H
#define TDX_H

#include <stddef.h>
#include <stdint.h>

#define TDX_REPORT_DATA_SIZE 64
#define TDX_REPORT_SIZE 1024
#define TDX_DIGEST_SIZE 48
#define TDX_PATH_SIZE 512
/* Real quotes are about 5 KiB, DICE quotes 100 KB: Linux 7.0 has a buffer of 128 KiB for them. */
#define TDX_ANSWER_SIZE (256 * 1024)
/* A caller that gives up waits this long for the worker to clean up before it leaves it alone. */
#define TDX_GRACE_MS 100
/* As many jobs of a process can be at work at once, those that their caller left included. */
#define TDX_MAX_JOBS 16

/* What a caller can do about a failure; quote_generator/errors.py has a class for each. */
enum tdx_code {
    TDX_OK,
    TDX_NOT_AVAILABLE,
    TDX_NOT_PERMITTED,
    TDX_BUSY,
    TDX_TIMED_OUT,
    TDX_SERVICE_FAILED,
    TDX_CORRUPT_ANSWER,
    TDX_NOT_SUPPORTED,
};

enum tdx_operation {
    TDX_QUOTE_CONFIGFS, /* path: the configfs-tsm report directory */
    TDX_QUOTE_QGS,      /* path: the guest device; and the address of the host's QGS */
    TDX_QUOTE_LEGACY,   /* path: the guest device */
    TDX_REPORT,         /* path: the guest device; the answer is a TDREPORT */
    TDX_EXTEND_FILE,    /* path: the register's file below measurements/ in sysfs */
    TDX_EXTEND_IOCTL,   /* path: the guest device */
    TDX_READ_FILE,      /* path: as of TDX_EXTEND_FILE; the answer is the register's value */
};

typedef struct {
    int operation; /* a tdx_operation */
    const char *path;
    uint8_t report_data[TDX_REPORT_DATA_SIZE];
    int64_t timeout_ms; /* over the whole job, retries included */
    int sweep;          /* also remove entries that killed processes left behind */
    uint32_t qgs_cid;   /* the QGS by vsock, */
    uint32_t qgs_port;
    const char *qgs_socket; /* or, unless NULL, by a Unix socket (for tests, and for proxies) */
    uint8_t index;          /* of the RTMR to extend */
    uint8_t digest[TDX_DIGEST_SIZE];
} tdx_request;

typedef struct {
    int code;                 /* a tdx_code */
    int sys_errno;            /* of the failed system call, or 0 */
    char path[TDX_PATH_SIZE]; /* the file or attribute it concerned, or empty */
    const char *reason;       /* a short English phrase, static; NULL when code is TDX_OK */
    uint64_t status;          /* the quote service's own error number, or 0 */
    char provider[64];        /* the kernel's name for the provider, such as "tdx_guest" */
    size_t size;
    uint8_t data[TDX_ANSWER_SIZE];
} tdx_answer;

typedef struct tdx_job tdx_job;

/* tdx_start begins the request in a thread of its own and returns at once. It copies the request.
 * NULL with *error = EBUSY: TDX_MAX_JOBS are at work; ENAMETOOLONG, ENOMEM, EAGAIN: as usual. */
tdx_job *tdx_start(const tdx_request *request, int *error);

/* tdx_wait_for_room waits at most timeout_ms until fewer than TDX_MAX_JOBS are at work; 1 when so. */
int tdx_wait_for_room(int timeout_ms);

/* tdx_wait waits at most timeout_ms for the job; 1 when it is done, else 0. */
int tdx_wait(tdx_job *job, int timeout_ms);

/* tdx_answer_of returns the answer of a job that is done; it lives until tdx_release. */
const tdx_answer *tdx_answer_of(const tdx_job *job);

/* tdx_release gives the job up, done or not: what is not done is called back from the kernel where
 * a signal can do that. The caller must not use it again. */
void tdx_release(tdx_job *job);

/* tdx_check_quote returns NULL and the quote's exact size if these bytes are a whole quote (v4 or
 * v5, with a P-256 key) of a TD that carries report_data, else a phrase that says what is wrong. */
const char *tdx_check_quote(const uint8_t *quote, size_t size, const uint8_t *report_data,
                            size_t *exact_size);

/* tdx_unsupported returns a phrase that names the kind of quote if these bytes, which
 * tdx_check_quote refuses, are one that may be right and is not supported yet; else NULL. */
const char *tdx_unsupported(const uint8_t *quote, size_t size);

#endif
