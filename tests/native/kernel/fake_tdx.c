// SPDX-License-Identifier: GPL-2.0
/* A provider for the kernel's real configfs-tsm, and a guest device with registers, without TDX.
 *
 * Linux 6.12. Everything but the quotes' content and the registers' place is the kernel's own code;
 * requests wait as those of drivers/virt/coco/tdx-guest/tdx-guest.c do, for a lock and for the host
 * who has the one buffer. quote.h holds what signs, by tests/emulator/signers.py.
 * Parameters, in /sys/module/fake_tdx/parameters:
 *
 *     fault    NAME[:COUNT] or none; the names are those of tests/emulator/kernel.py
 *     device   what /dev/tdx_guest can do: a key of QUOTE_NUMBERS in tests/emulator/device.py
 *     form     of the quotes: v4, v5, v5-td15 or v5-td15ex
 *     slow_ms  how long the slow faults take
 *     poll_ms  how often the driver looks whether the host is done; the real one once a second
 *     boot     written to, the registers are as a TD's boot leaves them: zeros
 *     quotes, entries, held, in_flight    counters, and whether the host works on a quote
 */
#include <crypto/hash.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/tsm.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>

#include "quote.h"

#define REPORT_DATA_SIZE 64
#define REPORT_SIZE 1024
#define DIGEST_SIZE 48
#define REGISTERS 4
#define SIGNATURE_SIZE 64
#define QUOTE_MAX 131072
#define BUFFER_SIZE 16384
#define BUFFER_HEADER 24
#define QGS_RESPONSE 28 /* its length prefix, header and sizes */
#define QGS_REQUEST 1052
#define HELD_MS 60000
#define TIMEOUT_MS 30000

static int quotes, entries, held, slow_ms = 2000, poll_ms = 1000;
module_param(quotes, int, 0444);
module_param(entries, int, 0444);
module_param(held, int, 0444);
module_param(slow_ms, int, 0644);
module_param(poll_ms, int, 0644);

static DEFINE_MUTEX(lock); /* guards all that follows */
static char fault[32] = "none", drawn[32], form[16] = "v4", device_kind[16] = "upstream";
static int left = -1; /* how often the fault still strikes; -1: for ever */
static u8 registers[REGISTERS][DIGEST_SIZE];
static u8 last_quote[QUOTE_MAX];
static size_t last_size;

/* --- faults --- */

/* strikes says whether the fault in force is this one, and counts it. */
static bool strikes(const char *name)
{
	bool hit;

	mutex_lock(&lock);
	hit = left && !strcmp(strcmp(fault, "random") ? fault : drawn, name);
	if (hit && left > 0)
		left--;
	if (hit)
		drawn[0] = 0;
	mutex_unlock(&lock);
	return hit;
}

static void draw(void)
{
	static const char *const passing[] = {"busy", "changed", "interrupted", "timed-out", "empty",
					      "old-quote", "wrong-report-data", "truncated"};

	mutex_lock(&lock);
	strscpy(drawn, get_random_u32_below(8) ? "" : passing[get_random_u32_below(ARRAY_SIZE(passing))],
		sizeof(drawn));
	mutex_unlock(&lock);
}

enum call { QUOTE, REPORT, EXTEND };

/* error_of returns the error that the fault in force gives to such a call, or 0. */
static int error_of(enum call call)
{
	static const struct {
		enum call call;
		const char *name;
		int error;
	} errors[] = {
		{QUOTE, "busy", -EBUSY}, {QUOTE, "changed", -EWOULDBLOCK},
		{QUOTE, "interrupted", -EINTR}, {QUOTE, "timed-out", -ETIMEDOUT},
		{QUOTE, "io-error", -EIO}, {QUOTE, "gone", -ENXIO},
		{REPORT, "report-busy", -EBUSY}, {REPORT, "report-error", -EIO},
		{REPORT, "report-interrupted", -EINTR},
		{EXTEND, "extend-busy", -EBUSY}, {EXTEND, "extend-error", -EIO},
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++)
		if (errors[i].call == call && strikes(errors[i].name))
			return errors[i].error;
	return 0;
}

/* --- the host, who works on one quote at a time, waited for or not --- */

static DEFINE_MUTEX(quote_lock);
static unsigned long in_flight_until; /* in jiffies; 0: never was */

static bool is_in_flight(void)
{
	return in_flight_until && time_before(jiffies, in_flight_until);
}

/* await_quote waits as wait_for_quote_completion() does. */
static int await_quote(void)
{
	int waited;

	for (waited = 0; is_in_flight(); waited += poll_ms) {
		if (waited >= TIMEOUT_MS)
			return -ETIMEDOUT;
		if (msleep_interruptible(poll_ms))
			return -EINTR;
	}
	return 0;
}

/* hold keeps the reader until a signal comes, or a minute is over; the host has then done nothing. */
static int hold(void)
{
	held++;
	return msleep_interruptible(HELD_MS) ? -EINTR : 0;
}

static int get_in_flight(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%d\n", is_in_flight());
}

static const struct kernel_param_ops in_flight_ops = {.get = get_in_flight};
module_param_cb(in_flight, &in_flight_ops, NULL, 0444);

/* --- quotes --- */

static int digest_of(const char *algorithm, const u8 *data, size_t size, u8 *digest)
{
	struct crypto_shash *hash = crypto_alloc_shash(algorithm, 0, 0);
	int error;

	if (IS_ERR(hash))
		return PTR_ERR(hash);
	error = crypto_shash_tfm_digest(hash, data, size, digest);
	crypto_free_shash(hash);
	return error;
}

/* Numbers of 256 bits below the order of P-256, the lowest 64 bits first. */

static bool is_below(const u64 *a, const u64 *b)
{
	int i;

	for (i = 3; i > 0 && a[i] == b[i]; i--)
		;
	return a[i] < b[i];
}

/* add_mod adds b to a, modulo the order. */
static void add_mod(u64 *a, const u64 *b)
{
	unsigned int carry = 0, borrow = 0;
	int i;

	for (i = 0; i < 4; i++) {
		u64 sum = a[i] + b[i], all = sum + carry;

		carry = (sum < a[i]) | (all < sum);
		a[i] = all;
	}
	if (!carry && is_below(a, order))
		return;
	for (i = 0; i < 4; i++) {
		u64 difference = a[i] - order[i], all = difference - borrow;

		borrow = (a[i] < order[i]) | (difference < borrow);
		a[i] = all;
	}
}

/* multiply_mod multiplies a by b, modulo the order: doubles and adds, from the highest bit on. */
static void multiply_mod(u64 *a, const u64 *b)
{
	u64 product[4] = {0};
	int bit;

	for (bit = 255; bit >= 0; bit--) {
		u64 once[4];

		memcpy(once, product, sizeof(once));
		add_mod(product, once);
		if (b[bit / 64] >> bit % 64 & 1)
			add_mod(product, a);
	}
	memcpy(a, product, sizeof(product));
}

/* sign writes an ECDSA signature, r and s, of the data: see in_c() in tests/emulator/signers.py. */
static int sign(const u8 *data, size_t size, u8 *signature)
{
	static const u64 zero[4];
	u64 s[4];
	u8 digest[32];
	int i, error = digest_of("sha256", data, size, digest);

	if (error)
		return error;
	for (i = 0; i < 4; i++)
		s[i] = get_unaligned_be64(digest + 8 * (3 - i));
	add_mod(s, zero); /* the digest may be above the order */
	add_mod(s, signature_r_d);
	multiply_mod(s, signature_1_k);
	memcpy(signature, signature_r, 32);
	for (i = 0; i < 4; i++)
		put_unaligned_be64(s[i], signature + 32 + 8 * (3 - i));
	return 0;
}

static size_t put(u8 *to, size_t at, u64 value, int size)
{
	__le64 bytes = cpu_to_le64(value);

	memcpy(to + at, &bytes, size);
	return at + size;
}

/* write_quote lays out a quote as tests/emulator/signers.py does, and signs it. */
static size_t write_quote(u8 *quote, const u8 *report_data)
{
	bool five = form[1] == '5', td15 = !strcmp(form, "v5-td15");
	bool td15ex = !strcmp(form, "v5-td15ex");
	size_t at = 48, body_size = td15ex ? 885 : td15 ? 648 : 584;
	u8 *signature;

	put(quote, 0, five ? 5 : 4, 2);
	put(quote, 2, 2, 2);
	put(quote, 4, 0x81, 4);
	if (five) {
		at = put(quote, at, td15ex ? 4 : td15 ? 3 : 2, 2);
		at = put(quote, at, body_size, 4);
	}
	memcpy(quote + at + 520, report_data, REPORT_DATA_SIZE);
	at += body_size;
	signature = quote + put(quote, at, SIGNATURE_SIZE + sizeof(signature_data), 4);
	if (sign(quote, at, signature))
		pr_err("no SHA-256 to sign with\n");
	memcpy(signature + SIGNATURE_SIZE, signature_data, sizeof(signature_data));
	return signature + SIGNATURE_SIZE + sizeof(signature_data) - quote;
}

#define AFTER_SIGNATURE 64 /* attestation key; then type and size of the certification data */
#define QE_SIGNATURE_AT (SIGNATURE_SIZE + 64 + 6 + 384)
#define FOREIGN_SIZE 24000

/* signature_at returns where a good quote's signature data begins. */
static size_t signature_at(size_t size)
{
	return size - sizeof(signature_data) - SIGNATURE_SIZE;
}

static void clear_signatures(u8 *quote, size_t size)
{
	u8 *data = quote + signature_at(size);

	memset(data, 0, SIGNATURE_SIZE);
	memset(data + QE_SIGNATURE_AT, 0, SIGNATURE_SIZE);
}

/* chain_at returns where a good quote's certificate chain begins: behind its own size, which is
 * behind the authentication data. */
static size_t chain_at(const u8 *quote, size_t size)
{
	size_t at = signature_at(size) + QE_SIGNATURE_AT + SIGNATURE_SIZE;

	return at + 2 + get_unaligned_le16(quote + at) + 6;
}

/* put_foreign_chain writes what is no chain in its place, as of memory behind a buffer. */
static size_t put_foreign_chain(u8 *quote, size_t size)
{
	size_t data = signature_at(size), chain = chain_at(quote, size), end = chain + FOREIGN_SIZE;

	clear_signatures(quote, size);
	put(quote, data - 4, end - data, 4);
	put(quote, data + SIGNATURE_SIZE + AFTER_SIGNATURE + 2, end - data - 134, 4);
	put(quote, chain - 4, FOREIGN_SIZE, 4);
	memset(quote + chain, 'm', FOREIGN_SIZE);
	return end;
}

/* put_cbor writes what may be the beginning of a DICE quote. */
static size_t put_cbor(u8 *quote, size_t size)
{
	memset(quote, 0x58, size);
	put(quote, 0, 0x84f7d9d9, 4);
	return size;
}

/* spoil_quote does to a quote what the fault in force says, and returns its size. */
static size_t spoil_quote(u8 *quote, size_t size)
{
	if (strikes("truncated"))
		return size / 2;
	if (strikes("cut-header"))
		return 40;
	if (strikes("trailing"))
		return put(quote, size, 1, 1);
	if (strikes("padded"))
		return size + 1000;
	if (strikes("too-big"))
		return 40000;
	if (strikes("other-tee"))
		put(quote, 4, 0, 4);
	if (strikes("other-version"))
		put(quote, 0, 3, 2);
	if (strikes("absurd-length"))
		put(quote, 632, 0xffffffff, 4);
	if (strikes("broken-signature"))
		put(quote, 764, 0xffff, 2);
	if (strikes("unsigned"))
		clear_signatures(quote, size);
	if (strikes("no-chain"))
		put(quote, chain_at(quote, size) - 6, 3, 2);
	if (strikes("p384"))
		put(quote, 2, 3, 2);
	if (strikes("foreign-chain"))
		return put_foreign_chain(quote, size);
	if (strikes("dice"))
		return put_cbor(quote, 30000);
	if (strikes("dice-100k"))
		return put_cbor(quote, 100000);
	return size;
}

static int make_quote(struct tsm_report *report)
{
	u8 *quote = kvzalloc(QUOTE_MAX, GFP_KERNEL);

	if (!quote)
		return -ENOMEM;
	report->outblob = quote;
	report->outblob_len = 0;
	if (strikes("empty")) /* as the kernel's own driver does when the quote service fails */
		return 0;
	if (last_size && strikes("old-quote")) {
		memcpy(quote, last_quote, last_size);
		report->outblob_len = last_size;
		return 0;
	}
	report->outblob_len = write_quote(quote, report->desc.inblob);
	memcpy(last_quote, quote, report->outblob_len); /* configfs-tsm makes one at a time */
	last_size = report->outblob_len;
	if (strikes("wrong-report-data"))
		quote[form[1] == '5' ? 574 : 568] ^= 1;
	report->outblob_len = spoil_quote(quote, report->outblob_len);
	quotes++;
	return 0;
}

static int report_new_locked(struct tsm_report *report)
{
	int error;

	if (is_in_flight())
		return -EBUSY;
	if (report->desc.inblob_len != REPORT_DATA_SIZE)
		return -EINVAL;
	draw();
	error = error_of(QUOTE);
	if (!error && strikes("slow")) {
		in_flight_until = jiffies + msecs_to_jiffies(slow_ms);
		error = await_quote();
	}
	if (!error && strikes("held"))
		error = hold();
	return error ? error : make_quote(report);
}

static int report_new(struct tsm_report *report, void *data)
{
	int error;

	if (mutex_lock_interruptible(&quote_lock))
		return -EINTR;
	error = report_new_locked(report);
	mutex_unlock(&quote_lock);
	return error;
}

static bool attr_visible(int n)
{
	if (n == TSM_REPORT_GENERATION)
		entries++; /* asked once a mkdir */
	return n == TSM_REPORT_GENERATION || n == TSM_REPORT_PROVIDER;
}

static bool bin_attr_visible(int n)
{
	return n == TSM_REPORT_INBLOB || n == TSM_REPORT_OUTBLOB;
}

static struct tsm_ops ops = {
	.name = "tdx_guest",
	.report_new = report_new,
	.report_attr_visible = attr_visible,
	.report_bin_attr_visible = bin_attr_visible,
};

/* --- registers, in sysfs as Linux 6.16 has them --- */

static int extend(int index, const u8 *digest)
{
	u8 both[2 * DIGEST_SIZE];
	int error = error_of(EXTEND);

	if (strikes("extend-slow"))
		msleep(slow_ms);
	if (error)
		return error;
	if (index != 2 && index != 3)
		return -EINVAL;
	mutex_lock(&lock);
	memcpy(both, registers[index], DIGEST_SIZE);
	memcpy(both + DIGEST_SIZE, digest, DIGEST_SIZE);
	error = digest_of("sha384", both, sizeof(both), registers[index]);
	mutex_unlock(&lock);
	return error;
}

static ssize_t read_register(struct file *file, struct kobject *kobject, struct bin_attribute *attribute,
			     char *data, loff_t at, size_t size)
{
	return memory_read_from_buffer(data, size, &at, attribute->private, DIGEST_SIZE);
}

static ssize_t write_register(struct file *file, struct kobject *kobject,
			      struct bin_attribute *attribute, char *data, loff_t at, size_t size)
{
	int error = at || size != DIGEST_SIZE ?
			    -EINVAL :
			    extend(((u8 *)attribute->private - registers[0]) / DIGEST_SIZE, data);

	return error ? error : size;
}

#define REGISTER(number)                                                        \
	{                                                                       \
		.attr = {.name = "rtmr" #number ":sha384", .mode = 0600},       \
		.size = DIGEST_SIZE, .read = read_register, .write = write_register, \
		.private = registers[number]                                    \
	}
static struct bin_attribute register_files[] = {REGISTER(0), REGISTER(1), REGISTER(2), REGISTER(3)};
static struct bin_attribute *register_list[] = {&register_files[0], &register_files[1],
						&register_files[2], &register_files[3], NULL};

static umode_t register_visible(struct kobject *kobject, struct bin_attribute *attribute, int n)
{
	return strcmp(device_kind, "upstream") ? 0 : attribute->attr.mode;
}

static const struct attribute_group measurements = {
	.name = "measurements",
	.bin_attrs = register_list,
	.is_bin_visible = register_visible,
};
static const struct attribute_group *groups[] = {&measurements, NULL};

/* --- the guest device --- */

#define GET_REPORT0 0xC4405401

static const struct {
	const char *kind;
	unsigned int quote, extend;
} drivers[] = {
	{"none", 0, 0},
	{"upstream", 0, 0},
	{"legacy", 0x80105404, 0x80315403},
	{"legacy-iowr", 0xC0105404, 0x40315403},
	{"legacy-2", 0xC0105402, 0x80315403},
	{"legacy-einval", 0xC0105402, 0x80315403},
	{"legacy-raw", 0x80105404, 0x40315403},
};

static long get_report(u8 __user *user)
{
	u8 *report;
	long result = error_of(REPORT);

	if (result)
		return result;
	if (strikes("report-slow"))
		msleep(slow_ms);
	report = kzalloc(REPORT_SIZE, GFP_KERNEL);
	if (!report)
		return -ENOMEM;
	result = -EFAULT;
	report[0] = strikes("report-no-type") ? 0 : 0x81;
	memset(report + 528, 0x7d, DIGEST_SIZE);
	mutex_lock(&lock);
	memcpy(report + 720, registers, sizeof(registers));
	mutex_unlock(&lock);
	if (!copy_from_user(report + 128, user, REPORT_DATA_SIZE)) {
		report[128] ^= strikes("report-wrong-data");
		if (!copy_to_user(user + REPORT_DATA_SIZE, report, REPORT_SIZE))
			result = 0;
	}
	kfree(report);
	return result;
}

/* answer_quote_request turns the buffer of a request into that of its answer; returns a status. */
static u64 answer_quote_request(u8 *buffer, u32 size, u32 *out_size)
{
	bool raw = !strcmp(device_kind, "legacy-raw");
	u8 *report = buffer + BUFFER_HEADER + (raw ? 0 : QGS_REQUEST - REPORT_SIZE), *quote;
	u8 report_data[REPORT_DATA_SIZE];
	size_t quote_size;

	*out_size = 0;
	if (strikes("quote-in-flight"))
		return ~0ull;
	if (strikes("quote-unavailable"))
		return 1ull << 63 | 1;
	if (strikes("quote-error") || size != (raw ? REPORT_SIZE : QGS_REQUEST) || report[0] != 0x81)
		return 1ull << 63;
	if (strikes("quote-empty"))
		return 0;
	memcpy(report_data, report + 128, REPORT_DATA_SIZE);
	report_data[0] ^= strikes("quote-spoiled");
	memset(buffer + BUFFER_HEADER, 0, BUFFER_SIZE - BUFFER_HEADER);
	quote = buffer + BUFFER_HEADER + (raw ? 0 : QGS_RESPONSE);
	quote_size = write_quote(quote, report_data);
	if (strikes("quote-unsigned"))
		clear_signatures(quote, quote_size);
	quotes++;
	*out_size = quote_size + (raw ? 0 : QGS_RESPONSE);
	if (!raw) {
		u8 *message = buffer + BUFFER_HEADER;
		__be32 prefix = cpu_to_be32(24 + quote_size);

		memcpy(message, &prefix, 4);
		put(message, 4, 1 | 1 << 16, 4);
		put(message, 8, 1, 4);
		put(message, 12, 24 + quote_size, 4);
		put(message, 16, strikes("quote-qgs-error") ? 0x12001 : 0, 4);
		put(message, 24, quote_size + strikes("quote-bad-message"), 4);
	}
	if (strikes("quote-too-long"))
		*out_size = BUFFER_SIZE;
	return 0;
}

static long get_quote(void __user *user)
{
	u64 request[2];
	u8 *buffer;
	u32 out_size;
	u64 status;
	long done, result = -EFAULT;

	if (copy_from_user(request, user, sizeof(request)))
		return -EFAULT;
	if (request[1] != BUFFER_SIZE || request[0] % PAGE_SIZE)
		return -EINVAL;
	buffer = kvmalloc(BUFFER_SIZE, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	if (!copy_from_user(buffer, (void __user *)(uintptr_t)request[0], BUFFER_SIZE)) {
		done = strikes("quote-timed-out") ? -ETIMEDOUT : 0;
		out_size = 0;
		status = done ? ~0ull :
				answer_quote_request(buffer, *(u32 *)(buffer + 16), &out_size);
		put(buffer, 8, status, 8);
		put(buffer, 20, out_size, 4);
		if (!copy_to_user((void __user *)(uintptr_t)request[0], buffer, BUFFER_SIZE))
			result = done;
	}
	kvfree(buffer);
	return result;
}

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	void __user *user = (void __user *)argument;
	u8 extension[DIGEST_SIZE + 1];
	int i;

	for (i = 0; i < ARRAY_SIZE(drivers) && strcmp(drivers[i].kind, device_kind); i++)
		;
	if (i == ARRAY_SIZE(drivers))
		return -ENOTTY;
	if (command == GET_REPORT0)
		return get_report(user);
	if (command == drivers[i].quote)
		return get_quote(user);
	if (command == drivers[i].extend) {
		if (copy_from_user(extension, user, sizeof(extension)))
			return -EFAULT;
		return extend(extension[DIGEST_SIZE], extension);
	}
	return strcmp(device_kind, "legacy-einval") ? -ENOTTY : -EINVAL;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.name = "tdx_guest",
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &operations,
	.groups = groups,
};

/* --- parameters that are words --- */

static bool registered;

/* set_provider does what "no-provider" and "other-provider" say. */
static int set_provider(void)
{
	bool wanted = strcmp(fault, "no-provider");
	int error = 0;

	ops.name = strcmp(fault, "other-provider") ? "tdx_guest" : "sev_guest";
	if (wanted && !registered)
		error = tsm_register(&ops, NULL);
	else if (!wanted && registered)
		error = tsm_unregister(&ops);
	if (!error)
		registered = wanted;
	return error;
}

static int set_word(const char *value, const struct kernel_param *parameter)
{
	char text[32], *count;

	strscpy(text, value, sizeof(text));
	strim(text);
	count = strchr(text, ':');
	if (count)
		*count++ = 0;
	mutex_lock(&lock);
	if (parameter->arg == fault) {
		drawn[0] = 0;
		strscpy(fault, text, sizeof(fault));
		left = count ? simple_strtol(count, NULL, 10) : -1;
	} else {
		strscpy(parameter->arg, text, 16);
	}
	mutex_unlock(&lock);
	if (!device.this_device)
		return 0; /* given with insmod */
	if (parameter->arg == fault)
		return set_provider();
	return parameter->arg == device_kind ?
		       sysfs_update_group(&device.this_device->kobj, &measurements) : 0;
}

static int get_word(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%s\n", (char *)parameter->arg);
}

static int boot(const char *value, const struct kernel_param *parameter)
{
	mutex_lock(&lock);
	memset(registers, 0, sizeof(registers));
	mutex_unlock(&lock);
	return 0;
}

static const struct kernel_param_ops boot_ops = {.set = boot};
module_param_cb(boot, &boot_ops, NULL, 0200);

static const struct kernel_param_ops word = {.set = set_word, .get = get_word};
module_param_cb(fault, &word, fault, 0644);
module_param_cb(form, &word, form, 0644);
module_param_cb(device, &word, device_kind, 0644);

static int __init fake_init(void)
{
	int error = misc_register(&device);

	if (error)
		return error;
	error = set_provider();
	if (error)
		misc_deregister(&device);
	return error;
}

static void __exit fake_exit(void)
{
	if (registered)
		tsm_unregister(&ops);
	misc_deregister(&device);
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A TDX guest's interfaces, for tests");
