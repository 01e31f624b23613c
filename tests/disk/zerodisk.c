// SPDX-License-Identifier: GPL-2.0
/*
 * A read-only disk full of zeroes, /dev/zerodisk. Reading it fills the guest's page cache, and
 * needs no file, buffer or emulated device on the host. It is the same on all kernels, also
 * on those without a disk driver.
 */
#include <linux/blkdev.h>
#include <linux/module.h>

#define NAME	"zerodisk"

static unsigned int mib = 65536;
module_param(mib, uint, 0444);
MODULE_PARM_DESC(mib, "size of the disk, MiB");

static struct gendisk *disk;
static int major;

static void zerodisk_submit_bio(struct bio *bio)
{
	if (bio_op(bio) != REQ_OP_READ) {
		bio_io_error(bio);
		return;
	}
	zero_fill_bio(bio);
	bio_endio(bio);
}

static const struct block_device_operations zerodisk_operations = {
	.owner		= THIS_MODULE,
	.submit_bio	= zerodisk_submit_bio,
};

static int add_zerodisk(void)
{
	int error;

	disk = blk_alloc_disk(NULL, NUMA_NO_NODE);
	if (IS_ERR(disk))
		return PTR_ERR(disk);
	disk->major = major;
	disk->minors = 1;
	disk->fops = &zerodisk_operations;
	strscpy(disk->disk_name, NAME, sizeof(disk->disk_name));
	set_capacity(disk, (sector_t)mib << (20 - SECTOR_SHIFT));
	set_disk_ro(disk, true);
	error = add_disk(disk);
	if (error)
		put_disk(disk);
	return error;
}

static int __init zerodisk_init(void)
{
	int error;

	major = register_blkdev(0, NAME);
	if (major < 0)
		return major;
	error = add_zerodisk();
	if (error)
		unregister_blkdev(major, NAME);
	return error;
}

static void __exit zerodisk_exit(void)
{
	del_gendisk(disk);
	put_disk(disk);
	unregister_blkdev(major, NAME);
}

module_init(zerodisk_init);
module_exit(zerodisk_exit);
MODULE_DESCRIPTION("A disk full of zeroes for tests");
MODULE_LICENSE("GPL");
