/* What the transports see of a job: its request, its answer, its deadline. */
#ifndef TDX_JOB_H
#define TDX_JOB_H

#include <stdbool.h>

#include "tdx.h"

/* Whether a failed attempt may be repeated. */
enum again { NEVER, A_FEW_TIMES, TO_THE_DEADLINE };

/* job_request returns the job's own copy of the request. */
const tdx_request *job_request(const tdx_job *job);

/* job_answer returns the answer to fill in; only the worker may, and only until it is done. */
tdx_answer *job_answer(tdx_job *job);

/* job_is_abandoned says whether the caller has left: finish what must be, begin nothing new. */
bool job_is_abandoned(tdx_job *job);

/* job_left_ms returns the milliseconds to the deadline: 0 when it is over, or the caller left. */
int job_left_ms(tdx_job *job);

/* job_pause waits about that long, less if the job ends before; false when it has ended. */
bool job_pause(tdx_job *job, int milliseconds);

/* job_fail writes a failure into the answer and returns its code. reason must be static; the path
 * is directory/name, either of which may be NULL or empty. */
int job_fail(tdx_job *job, int code, enum again again, int sys_errno, const char *reason,
             const char *directory, const char *name);

/* job_fail_call does so for a failed system call, by what its errno commonly means here. */
int job_fail_call(tdx_job *job, int sys_errno, const char *reason, const char *directory,
                  const char *name);

/* job_attempt calls attempt until it returns TDX_OK, or its failure says that it is final, or the
 * time is over. Returns the last code. */
int job_attempt(tdx_job *job, int (*attempt)(tdx_job *job, void *context), void *context);

/* The transports. Each fills in the answer and returns its code. */
int quote_by_configfs(tdx_job *job);
int quote_by_qgs(tdx_job *job);
int quote_by_legacy_ioctl(tdx_job *job);
int report_by_ioctl(tdx_job *job);
int extend_by_file(tdx_job *job);
int extend_by_ioctl(tdx_job *job);
int read_by_file(tdx_job *job);

/* They say to the transports that this is another process now: a forked child, without workers. */
void configfs_forked(void);
void legacy_forked(void);

#endif
