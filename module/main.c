// SPDX-License-Identifier: GPL-2.0
/* Module load and unload, and the reboot notifier. */
#include <linux/module.h>
#include <linux/reboot.h>
#include "balloon.h"
#include "compat/compat.h"
#include "mm_pressure.h"
#include "mm_scan.h"

/* Not every kernel's virtio bus resets its devices at a shutdown. */
static int aerator_reboot(struct notifier_block *nb, unsigned long event, void *cmd)
{
	balloon_shutdown();
	return NOTIFY_DONE;
}

static struct notifier_block aerator_reboot_nb = {
	.notifier_call = aerator_reboot,
};

static int __init aerator_init(void)
{
	int err;

	params_start();
	err = mm_scan_start();
	if (err)
		return err;
	err = mm_pressure_start(balloon_hint_held, balloon_hint_return);
	if (err)
		goto stop_walks;
	err = register_reboot_notifier(&aerator_reboot_nb);
	if (err)
		goto stop;
	err = balloon_takeover_start();
	if (err)
		goto unregister;
	err = balloon_driver_watch();
	if (err)
		goto takeover;
	return 0;

takeover:
	balloon_takeover_stop();
unregister:
	unregister_reboot_notifier(&aerator_reboot_nb);
stop:
	mm_pressure_stop();
stop_walks:
	mm_scan_stop();
	return err;
}
module_init(aerator_init);

static void __exit aerator_exit(void)
{
	balloon_takeover_stop();
	balloon_driver_unwatch();
	unregister_reboot_notifier(&aerator_reboot_nb);
	mm_pressure_stop();
	mm_scan_stop();
}
module_exit(aerator_exit);

MODULE_DESCRIPTION("Tells the host which free pages it need not keep");
MODULE_AUTHOR("The aerator developers");
MODULE_VERSION(AERATOR_VERSION);
MODULE_LICENSE("GPL");
