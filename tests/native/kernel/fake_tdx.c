// SPDX-License-Identifier: GPL-2.0
/* A provider for the kernel's real configfs-tsm, and a misc device, that need no TDX.
 *
 * Linux 6.12. The parameter "fault" chooses what goes wrong, see enum fault.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/tsm.h>
#include <linux/uaccess.h>

#define QUOTE_SIZE 4974
#define GET_REPORT0 0xC4405401
#define REPORT_SIZE 1024

enum fault { NONE, EMPTY, BUSY, INTERRUPTED, IO_ERROR, WRONG_DATA, SLOW, RANDOM };

static int fault;
module_param(fault, int, 0644);
static int quotes;
module_param(quotes, int, 0444);

static int make_quote(struct tsm_report *report, bool spoil)
{
	u8 *quote = kvzalloc(QUOTE_SIZE, GFP_KERNEL);

	if (!quote)
		return -ENOMEM;
	quote[0] = 4;
	quote[2] = 2;
	quote[4] = 0x81;
	memcpy(quote + 568, report->desc.inblob, 64);
	quote[568] ^= spoil;
	*(__le32 *)(quote + 632) = cpu_to_le32(QUOTE_SIZE - 636);
	report->outblob = quote;
	report->outblob_len = QUOTE_SIZE;
	quotes++;
	return 0;
}

static int report_new(struct tsm_report *report, void *data)
{
	int now = READ_ONCE(fault);

	if (report->desc.inblob_len != 64)
		return -EINVAL;
	if (now == RANDOM)
		now = get_random_u32() % 4 ? NONE : get_random_u32() % (WRONG_DATA + 1);
	switch (now) {
	case EMPTY: /* as the kernel's own driver does when the QGS fails */
		report->outblob = kvzalloc(1, GFP_KERNEL);
		report->outblob_len = 0;
		return report->outblob ? 0 : -ENOMEM;
	case BUSY:
		return -EBUSY;
	case INTERRUPTED:
		return -EINTR;
	case IO_ERROR:
		return -EIO;
	case SLOW:
		msleep(2000);
		break;
	}
	return make_quote(report, now == WRONG_DATA);
}

static bool attr_visible(int n)
{
	return n == TSM_REPORT_GENERATION || n == TSM_REPORT_PROVIDER;
}

static bool bin_attr_visible(int n)
{
	return n == TSM_REPORT_INBLOB || n == TSM_REPORT_OUTBLOB;
}

static const struct tsm_ops ops = {
	.name = "tdx_guest",
	.report_new = report_new,
	.report_attr_visible = attr_visible,
	.report_bin_attr_visible = bin_attr_visible,
};

static long device_ioctl(struct file *file, unsigned int command, unsigned long argument)
{
	u8 __user *user = (u8 __user *)argument;
	long result = -EFAULT;
	u8 *report;

	if (command != GET_REPORT0)
		return -ENOTTY;
	report = kzalloc(REPORT_SIZE, GFP_KERNEL);
	if (!report)
		return -ENOMEM;
	report[0] = 0x81;
	if (!copy_from_user(report + 128, user, 64) && !copy_to_user(user + 64, report, REPORT_SIZE))
		result = 0;
	kfree(report);
	return result;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.name = "tdx_guest",
	.minor = MISC_DYNAMIC_MINOR,
	.fops = &operations,
};

static int __init fake_init(void)
{
	int error = misc_register(&device);

	if (error)
		return error;
	error = tsm_register(&ops, NULL);
	if (error)
		misc_deregister(&device);
	return error;
}

static void __exit fake_exit(void)
{
	tsm_unregister(&ops);
	misc_deregister(&device);
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A TDX guest's interfaces, for tests");
