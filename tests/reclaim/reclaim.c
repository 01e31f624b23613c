// SPDX-License-Identifier: GPL-2.0
/*
 * Reclaim although much memory is free, as for an allocation that only a small zone can serve:
 * a value that is written to the parameter "once" is written to drop_caches, by a task that
 * is marked as reclaiming memory.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/mm.h>
#include <linux/string.h>

static int reclaim_once(const char *val, const struct kernel_param *kp)
{
	struct file *file = filp_open("/proc/sys/vm/drop_caches", O_WRONLY, 0);
	unsigned int flags;
	loff_t at = 0;
	ssize_t done;

	if (IS_ERR(file))
		return PTR_ERR(file);
	flags = memalloc_noreclaim_save();
	done = kernel_write(file, val, strlen(val), &at);
	memalloc_noreclaim_restore(flags);
	filp_close(file, NULL);
	return done < 0 ? done : 0;
}

static const struct kernel_param_ops reclaim_once_ops = {
	.set = reclaim_once,
};
module_param_cb(once, &reclaim_once_ops, NULL, 0200);
MODULE_PARM_DESC(once, "value to write to drop_caches");
MODULE_DESCRIPTION("reclaims memory although much is free");
MODULE_LICENSE("GPL");
