// SPDX-License-Identifier: GPL-2.0
/* Load, unload, and nothing else. */
#include <linux/module.h>
#include "balloon.h"
#include "compat/compat.h"

static int __init aerator_init(void)
{
	int err = register_virtio_driver(&balloon_driver);

	if (err)
		return err;
	takeover_start();
	return 0;
}
module_init(aerator_init);

static void __exit aerator_exit(void)
{
	takeover_stop();
}
module_exit(aerator_exit);

MODULE_DESCRIPTION("Tells the host which free pages it need not keep");
MODULE_AUTHOR("The aerator developers");
MODULE_VERSION(AERATOR_VERSION);
MODULE_LICENSE("GPL");
