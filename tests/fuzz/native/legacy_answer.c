/* The buffer that a host fills for GET_QUOTE: its size as the host says, then its data.
 *
 * The transport's own source is included, to call what it keeps to itself.
 */
#include "device.c"
#include "job.c"
#include "target.h"

/* Its report data is zeros, and so is that of the seeds. */
static tdx_job job = {.lock = PTHREAD_MUTEX_INITIALIZER, .request = {.path = "device"}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct quote_buffer *buffer = aligned_alloc(4096, BUFFER_SIZE);
    int code;

    if (!buffer || size < 4) {
        free(buffer);
        return 0;
    }
    memset(buffer, 0, sizeof *buffer);
    buffer->out_size = le32_at(data);
    size = size - 4 < sizeof buffer->data ? size - 4 : sizeof buffer->data;
    memcpy(buffer->data, data + 4, size);
    memset(&job.answer, 0xa5, offsetof(tdx_answer, data));
    code = unwrap_quote(&job, buffer);
    if (code == TDX_OK) {
        size_t exact;

        accepted++;
        REQUIRE(job.answer.size <= buffer->out_size);
        REQUIRE(!tdx_check_quote(job.answer.data, job.answer.size, job.request.report_data,
                                 &exact));
        REQUIRE(exact == job.answer.size);
    } else {
        REQUIRE(code == TDX_SERVICE_FAILED || code == TDX_CORRUPT_ANSWER ||
                code == TDX_NOT_SUPPORTED);
        REQUIRE(job.answer.code == code && job.answer.reason && job.answer.size == 0);
    }
    free(buffer);
    return 0;
}
