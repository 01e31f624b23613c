// SPDX-License-Identifier: GPL-2.0
/*
 * The meaning of the chains of each queue, and the checks of what a driver does with them.
 *
 * The device writes a pattern to a page as soon as the page is the device's, and checks the
 * pattern when it returns the page: a driver that used the page too early has overwritten it.
 */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/string.h>
#include "device.h"

/* The pattern's mark of pages in the balloon; the marks of chains begin at 1. */
#define BALLOON_MARK	0

/**
 * balloon_must_be_told - must the driver tell the device before it uses deflated pages?
 *
 * Return: true if MUST_TELL_HOST was negotiated.
 */
bool balloon_must_be_told(void)
{
	return host.vdev && __virtio_test_bit(host.vdev, VIRTIO_BALLOON_F_MUST_TELL_HOST);
}

/* The page numbers in a chain; the guest's pages are of the balloon's size. */
static const __virtio32 *chain_words(const struct kvec *iov, size_t *nr)
{
	*nr = iov->iov_len / sizeof(__virtio32);
	return phys_to_virt((phys_addr_t)iov->iov_base);
}

/* Call a function with each page number of a chain. */
static void visit_pages(struct device_chain *chain, void (*visit)(unsigned long pfn))
{
	const __virtio32 *pfns;
	size_t nr, j;
	unsigned int i;

	for (i = 0; i < chain->out.used; i++) {
		pfns = chain_words(&chain->out.iov[i], &nr);
		for (j = 0; j < nr; j++)
			visit(virtio32_to_cpu(host.vdev, pfns[j]));
	}
}

/* Is the page in the balloon, since this driver inflated it or since before a reset? */
static bool page_is_known(unsigned long pfn, bool *now)
{
	void *entry = xa_load(&host.pages, pfn);

	*now = entry && xa_to_value(entry) == host.era;
	return entry;
}

static void page_note(unsigned long pfn)
{
	bool now;

	if (!pfn_valid(pfn)) {
		device_violation("inflated, and there is no such page", pfn);
		return;
	}
	page_is_known(pfn, &now);
	if (now)
		device_violation("inflated twice", pfn);
	else
		host.in_balloon++;
	if (xa_is_err(xa_store(&host.pages, pfn, xa_mk_value(host.era), GFP_NOWAIT)))
		pr_err("no memory to note page %#lx\n", pfn);
}

static void page_inflate(unsigned long pfn)
{
	page_note(pfn);
	if (pfn_valid(pfn))
		pages_fill(pfn, 1, BALLOON_MARK);
}

static void page_check_told(unsigned long pfn)
{
	unsigned long bad;
	bool now;

	if (!page_is_known(pfn, &now))
		device_violation("deflated, and was not in", pfn);
	else if (now && balloon_must_be_told() &&
		 !pages_check(pfn, 1, BALLOON_MARK, &bad))
		device_violation("in the balloon was used before the host was told", pfn);
}

static void page_deflate(unsigned long pfn)
{
	bool now;

	page_check_told(pfn);
	page_is_known(pfn, &now);
	host.in_balloon -= now;
	xa_erase(&host.pages, pfn);
}

static bool chain_is_too_long(struct device_chain *chain)
{
	size_t nr = 0;

	if (chain->out.used)
		chain_words(&chain->out.iov[0], &nr);
	return host.numbers_max && nr > host.numbers_max;
}

/* The page counts as inflated for the driver, even if the host keeps its content. */
static void inflate_took(struct device_queue *q, struct device_chain *chain)
{
	chain->kept = host.keeps || chain_is_too_long(chain);
	visit_pages(chain, chain->kept ? page_note : page_inflate);
}

static void deflate_took(struct device_queue *q, struct device_chain *chain)
{
	visit_pages(chain, page_check_told);
}

static void deflate_give(struct device_queue *q, struct device_chain *chain)
{
	visit_pages(chain, page_deflate);
}

static unsigned long iov_pfn(const struct kvec *iov)
{
	return PHYS_PFN((phys_addr_t)iov->iov_base);
}

static void lent_took(struct device_queue *q, struct device_chain *chain)
{
	const struct kvec *iov = chain->in.iov;
	unsigned int i;

	chain->kept = host.keeps;
	for (i = 0; i < chain->in.used; i++, iov++) {
		q->bytes += iov->iov_len;
		if (chain->kept)
			continue;
		pages_fill(iov_pfn(iov), iov->iov_len >> PAGE_SHIFT, chain->mark);
	}
}

static void lent_give(struct device_queue *q, struct device_chain *chain)
{
	const struct kvec *iov = chain->in.iov;
	unsigned long bad;
	unsigned int i;

	for (i = 0; i < chain->in.used; i++, iov++)
		if (!chain->kept &&
		    !pages_check(iov_pfn(iov), iov->iov_len >> PAGE_SHIFT, chain->mark,
				 &bad))
			device_violation("lent to the device was used before its time", bad);
}

/*
 * Commands are in readable buffers, pages in writable ones. As with QEMU's device, the config
 * space does not show a command id any more once the driver has sent it.
 */
static void free_page_took(struct device_queue *q, struct device_chain *chain)
{
	const __virtio32 *command;
	size_t nr;

	if (chain->out.used) {
		command = chain_words(&chain->out.iov[0], &nr);
		if (nr)
			host.hinted = virtio32_to_cpu(host.vdev, *command);
		if (le32_to_cpu(host.config.free_page_hint_cmd_id) == host.hinted)
			host.config.free_page_hint_cmd_id =
				cpu_to_le32(VIRTIO_BALLOON_CMD_ID_STOP);
	}
	lent_took(q, chain);
}

static void stats_took(struct device_queue *q, struct device_chain *chain)
{
	const struct kvec *iov = chain->out.iov;
	size_t len;

	if (!chain->out.used)
		return;
	len = min(iov->iov_len, sizeof(host.stats));
	memcpy(host.stats, phys_to_virt((phys_addr_t)iov->iov_base), len);
	host.nr_stats = len / sizeof(host.stats[0]);
}

/**
 * balloon_reset - forget the pages in the balloon, unless the host is to keep them
 *
 * A page that was inflated before the reset is no violation if the driver inflates or deflates
 * it afterwards: drivers do both.
 */
void balloon_reset(void)
{
	if (keep)
		return;
	host.era++;
	host.in_balloon = 0;
}

const struct device_kind_ops device_kinds[KINDS] = {
	[KIND_INFLATE] = {
		.name = "inflate",
		.feature = -1,
		.took = inflate_took,
	},
	[KIND_DEFLATE] = {
		.name = "deflate",
		.feature = -1,
		.took = deflate_took,
		.give = deflate_give,
	},
	[KIND_STATS] = {
		.name = "stats",
		.feature = VIRTIO_BALLOON_F_STATS_VQ,
		.took = stats_took,
		.asks = true,
	},
	[KIND_FREE_PAGE] = {
		.name = "free_page",
		.feature = VIRTIO_BALLOON_F_FREE_PAGE_HINT,
		.took = free_page_took,
		.give = lent_give,
	},
	[KIND_REPORTING] = {
		.name = "reporting",
		.feature = VIRTIO_BALLOON_F_REPORTING,
		.took = lent_took,
		.give = lent_give,
	},
};
