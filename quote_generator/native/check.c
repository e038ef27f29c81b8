/* Checks that bytes are the quote that was asked for.
 *
 * Layouts: Intel TDX DCAP Quoting Library API, "Quote Format", version 4 and 5; the body of type 4
 * as in sgx_quote_5.h. This stops a stale, cut or foreign answer from being taken for a good one;
 * that the quote's parts hold together is checked in Python (consistency.py), and whether Intel's
 * keys stand behind it by relying parties.
 */
#include <stdbool.h>
#include <string.h>

#include "tdx.h"

#define HEADER_SIZE 48
#define KEY_TYPE_OFFSET 2
#define KEY_TYPE_P256 2
#define KEY_TYPE_P384 3
#define TEE_TYPE_OFFSET 4
#define TEE_TYPE_TDX 0x81
#define BODY_TD10_SIZE 584
#define BODY_TD15_SIZE 648
#define BODY_TD15EX_SIZE 885
#define BODY_TYPE_TD10 2
#define BODY_TYPE_TD15 3
#define BODY_TYPE_TD15EX 4
#define BODY_REPORT_DATA_OFFSET 520

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}

/* size_of_body returns how many bytes a body of this type has; 0 if it is not one of a TD. */
static size_t size_of_body(uint32_t type)
{
    switch (type) {
    case BODY_TYPE_TD10:
        return BODY_TD10_SIZE;
    case BODY_TYPE_TD15:
        return BODY_TD15_SIZE;
    case BODY_TYPE_TD15EX:
        return BODY_TD15EX_SIZE;
    default:
        return 0;
    }
}

/* find_body sets where the TD's report body lies; a phrase if the quote has none. */
static const char *find_body(const uint8_t *quote, size_t size, size_t *offset, size_t *body_size)
{
    if (size < HEADER_SIZE + 6)
        return "the quote ends within its header";
    if (le32(quote + TEE_TYPE_OFFSET) != TEE_TYPE_TDX)
        return "the quote is not of a TDX trust domain";
    if (le16(quote + KEY_TYPE_OFFSET) != KEY_TYPE_P256)
        return "the quote's attestation key is not one of ECDSA P-256";
    switch (le16(quote)) {
    case 4:
        *offset = HEADER_SIZE;
        *body_size = BODY_TD10_SIZE;
        return NULL;
    case 5:
        *offset = HEADER_SIZE + 6;
        *body_size = size_of_body(le16(quote + HEADER_SIZE));
        if (!*body_size)
            return "the quote's body type is not one of a trust domain";
        return le32(quote + HEADER_SIZE + 2) == *body_size ? NULL
                                                           : "the quote's body has a wrong size";
    default:
        return "the quote's version is neither 4 nor 5";
    }
}

const char *tdx_check_quote(const uint8_t *quote, size_t size, const uint8_t *report_data,
                            size_t *exact_size)
{
    size_t body, body_size, end;
    const char *wrong = find_body(quote, size, &body, &body_size);

    if (wrong)
        return wrong;
    end = body + body_size + 4;
    if (size < end || le32(quote + end - 4) > size - end)
        return "the quote is cut short";
    end += le32(quote + end - 4);
    /* Some hosts pad the quote with zeros up to their buffer's size; anything else is not ours. */
    for (size_t i = end; i < size; i++)
        if (quote[i])
            return "the quote is followed by foreign bytes";
    if (memcmp(quote + body + BODY_REPORT_DATA_OFFSET, report_data, TDX_REPORT_DATA_SIZE) != 0)
        return "the quote carries other report data than was asked for";
    *exact_size = end;
    return NULL;
}

/* is_cbor says whether these bytes begin as CBOR does (RFC 8949, section 3) where it holds more than
 * a number or a text: with an array, a map or a tag. A binary quote begins with its version. */
static bool is_cbor(const uint8_t *quote, size_t size)
{
    return size && quote[0] >> 5 >= 4 && quote[0] >> 5 <= 6;
}

const char *tdx_unsupported(const uint8_t *quote, size_t size)
{
    uint32_t version;

    if (is_cbor(quote, size))
        return "a DICE quote (CBOR): not supported yet";
    if (size < HEADER_SIZE + 6 || le32(quote + TEE_TYPE_OFFSET) != TEE_TYPE_TDX)
        return NULL;
    version = le16(quote);
    if ((version == 4 || version == 5) && le16(quote + KEY_TYPE_OFFSET) == KEY_TYPE_P384)
        return "a quote with a P-384 attestation key: not supported yet";
    return NULL;
}
