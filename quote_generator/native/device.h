/* What the guest device offers to the transports, and the QGS messages that two of them share. */
#ifndef TDX_DEVICE_H
#define TDX_DEVICE_H

#include "job.h"

#define QGS_HEADER_SIZE 16
#define QGS_PREFIX_SIZE 4
#define QGS_REQUEST_SIZE (QGS_PREFIX_SIZE + QGS_HEADER_SIZE + 8 + TDX_REPORT_SIZE)

/* open_device opens the request's guest device into *fd. */
int open_device(tdx_job *job, int *fd);

/* read_report gets the TDREPORT over the request's report data. */
int read_report(tdx_job *job, int fd, uint8_t report[TDX_REPORT_SIZE]);

/* qgs_encode_request writes the whole request for a quote of report, its length prefix included. */
void qgs_encode_request(uint8_t message[QGS_REQUEST_SIZE], const uint8_t report[TDX_REPORT_SIZE]);

/* qgs_prefix returns the message length that a prefix announces. */
uint32_t qgs_prefix(const uint8_t prefix[QGS_PREFIX_SIZE]);

/* qgs_decode_response finds the quote within a response (without its prefix). It returns NULL, or
 * a phrase that says what is wrong; *status is the service's error number, or 0. */
const char *qgs_decode_response(const uint8_t *message, size_t size, const uint8_t **quote,
                                size_t *quote_size, uint32_t *status);

/* accept_quote makes a quote the answer if it is the one that was asked for. The quote lies within
 * the answer's data. */
int accept_quote(tdx_job *job, const uint8_t *quote, size_t size, const char *path);

#endif
