// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual subnet: eth0. A message is an Ethernet frame in fragments. What is a whole page among them
 * the monitor maps into the receiver; the rest it copies. Sending ends within its call, so a frame is
 * given up at once.
 */

#include <linux/etherdevice.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/smp.h>
#include <linux/workqueue.h>

#include <asm/irq.h>
#include <asm/mipsregs.h>

#include "memory.h"
#include "net.h"

#define NET_IRQ		(MIPS_CPU_IRQ_BASE + DISCO_LINE_NET)
#define NET_LINE	(0x100 << DISCO_LINE_NET)
/* Places for messages: what one call receives at most. */
#define SLOTS		8
/* Pages of each. A message of NET_MTU has three whole ones, or is packed into as many and the head. */
#define SLOT_PAGES	4
/* Room for a whole frame from outside; of larger messages the headers, and what is before a whole page. */
#define HEAD_BYTES	(ETH_HLEN + DISCO_NET_OUTSIDE_MTU)
/* Stands for no page, and, as a checksum, for one that has been checked. */
#define NONE		(~0ULL)

/* As the monitor has them: guests/abi/src/net.rs. */
struct net_message {
	u64 fragments;
	u64 checksum;
	struct disco_segment fragment[];
};
static_assert(sizeof(struct net_message) == 16);

struct net_slot {
	struct disco_segment head;
	u64 pages[DISCO_NET_PAGES];
	u64 head_used;
	u64 page_used[DISCO_NET_PAGES];
	u64 checksum;
};
static_assert(sizeof(struct net_slot) == 16 + 8 * (2 + 2 * DISCO_NET_PAGES));
static_assert(SLOT_PAGES < DISCO_NET_PAGES && SLOTS <= DISCO_NET_SLOTS_MAX);

#define LIST_SKBS	(DISCO_NET_LIST_MAX / (sizeof(struct net_message) + sizeof(struct disco_segment)))

/* Frames that the stack has given and the monitor has not; kept by the transmit queue's lock. */
static struct {
	u64 list[DISCO_NET_LIST_MAX / sizeof(u64)];
	size_t bytes;
	struct sk_buff *skbs[LIST_SKBS];
	unsigned int count;
} sending;

/* Places for messages; the poll function's own. */
static struct {
	struct net_slot slots[SLOTS];
	struct sk_buff *skbs[SLOTS];
	struct page *pages[SLOTS][SLOT_PAGES];
} receiving;

static struct napi_struct napi;

static size_t message_bytes(const struct net_message *message)
{
	return sizeof(*message) + message->fragments * sizeof(message->fragment[0]);
}

/* Sends the list. A message that is refused is dropped, and the rest sent. */
static void send_list(struct net_device *dev)
{
	size_t at = 0;
	unsigned int i = 0;

	while (i < sending.count) {
		long taken = disco_call(DISCO_CALL_NET_SEND, __pa(sending.list) + at,
					sending.bytes - at, 0, 0);
		unsigned int end = min_t(unsigned int, i + (taken > 0 ? taken : 1), sending.count);

		for (; i < end; i++) {
			struct sk_buff *skb = sending.skbs[i];

			at += message_bytes((void *)sending.list + at);
			if (taken > 0) {
				dev->stats.tx_packets++;
				dev->stats.tx_bytes += skb->len;
				dev_consume_skb_any(skb);
			} else {
				dev->stats.tx_dropped++;
				dev_kfree_skb_any(skb);
			}
		}
	}
	sending.count = 0;
	sending.bytes = 0;
}

/* Adds a piece of memory, page by page: only pages are mapped. Returns how many fragments there are. */
static unsigned int add_fragments(struct disco_segment *to, unsigned int count,
				  phys_addr_t address, size_t bytes)
{
	while (bytes && count < DISCO_NET_FRAGMENTS_MAX) {
		size_t part = min_t(size_t, bytes, PAGE_SIZE - offset_in_page(address));

		to[count].address = address;
		to[count].bytes = part;
		address += part;
		bytes -= part;
		count++;
	}
	return bytes ? DISCO_NET_FRAGMENTS_MAX + 1 : count;
}

/* The frame as a message in at most this many fragments; false if it has more. */
static bool describe(struct net_message *message, const struct sk_buff *skb)
{
	unsigned int count, i;

	count = add_fragments(message->fragment, 0, __pa(skb->data), skb_headlen(skb));
	for (i = 0; i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];

		count = add_fragments(message->fragment, count,
				      page_to_phys(skb_frag_page(frag)) + skb_frag_off(frag),
				      skb_frag_size(frag));
	}
	message->fragments = count;
	message->checksum = 0;
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		u64 start = skb_checksum_start_offset(skb);

		message->checksum = (start + skb->csum_offset) << 32 | start;
	}
	return count <= DISCO_NET_FRAGMENTS_MAX;
}

static netdev_tx_t net_xmit(struct sk_buff *skb, struct net_device *dev)
{
	static struct {
		struct net_message head;
		struct disco_segment fragment[DISCO_NET_FRAGMENTS_MAX];
	} new;
	bool more = netdev_xmit_more();

	if (describe(&new.head, skb) || (skb_linearize(skb) == 0 && describe(&new.head, skb))) {
		size_t bytes = message_bytes(&new.head);

		if (sending.bytes + bytes > sizeof(sending.list))
			send_list(dev);
		memcpy((void *)sending.list + sending.bytes, &new, bytes);
		sending.bytes += bytes;
		sending.skbs[sending.count++] = skb;
	} else {
		dev->stats.tx_dropped++;
		dev_kfree_skb_any(skb);
	}
	if (!more)
		send_list(dev);
	return NETDEV_TX_OK;
}

/* Makes a place ready; false if there is no memory for it. */
static bool refill(unsigned int number)
{
	struct net_slot *slot = &receiving.slots[number];
	struct sk_buff **skb = &receiving.skbs[number];
	unsigned int i;

	if (!*skb) {
		*skb = napi_alloc_skb(&napi, HEAD_BYTES);
		if (!*skb)
			return false;
		slot->head.address = __pa((*skb)->data);
		slot->head.bytes = HEAD_BYTES;
	}
	for (i = 0; i < SLOT_PAGES; i++) {
		struct page **page = &receiving.pages[number][i];

		if (*page)
			continue;
		*page = dev_alloc_page();
		if (!*page)
			return false;
		slot->pages[i] = page_to_phys(*page);
	}
	slot->pages[SLOT_PAGES] = NONE;
	return true;
}

/* Takes a message out of its place. */
static struct sk_buff *take(unsigned int number)
{
	struct net_slot *slot = &receiving.slots[number];
	struct sk_buff *skb = receiving.skbs[number];
	unsigned int i;

	receiving.skbs[number] = NULL;
	skb_put(skb, slot->head_used);
	for (i = 0; i < SLOT_PAGES && slot->page_used[i]; i++) {
		skb_add_rx_frag(skb, i, receiving.pages[number][i], 0, slot->page_used[i],
				PAGE_SIZE);
		receiving.pages[number][i] = NULL;
	}
	return skb;
}

/*
 * Whether the frame has a header, and the checksum that may still have to be computed is within it. Both are
 * brought to the beginning: where a whole page was mapped first, nothing is there.
 */
static bool check(struct sk_buff *skb, u64 checksum)
{
	bool partial = checksum && checksum != NONE;
	u64 start = (u32)checksum, place = checksum >> 32;

	if (!pskb_may_pull(skb, partial ? max(place + sizeof(__sum16), (u64)ETH_HLEN) : ETH_HLEN))
		return false;
	if (partial)
		return skb_partial_csum_set(skb, start, place - start);
	if (checksum)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	return true;
}

static void receive(struct net_device *dev, unsigned int number)
{
	struct sk_buff *skb = take(number);

	if (!check(skb, receiving.slots[number].checksum)) {
		dev->stats.rx_errors++;
		dev_kfree_skb_any(skb);
		return;
	}
	dev->stats.rx_packets++;
	dev->stats.rx_bytes += skb->len;
	skb->protocol = eth_type_trans(skb, dev);
	napi_gro_receive(&napi, skb);
}

/* The line is the first CPU's, whose mask nobody else can change. */
static void unmask(struct work_struct *work)
{
	unsigned long flags;

	local_irq_save(flags);
	set_c0_status(NET_LINE);
	local_irq_restore(flags);
}
static DECLARE_WORK(unmask_work, unmask);

static int net_poll(struct napi_struct *unused, int budget)
{
	int received = 0;

	while (received < budget) {
		unsigned int room = 0, i;
		long count;

		while (room < min(SLOTS, budget - received) && refill(room))
			room++;
		/* Without memory messages wait: it is tried again. */
		if (!room)
			return budget;
		count = disco_call(DISCO_CALL_NET_RECEIVE, __pa(receiving.slots), room, 0, 0);
		if (count < 0)
			napi.dev->stats.rx_errors++;
		for (i = 0; (long)i < count; i++)
			receive(napi.dev, i);
		received += max(count, 0L);
		if (count < (long)room)
			break;
	}
	if (received < budget && napi_complete_done(&napi, received)) {
		if (smp_processor_id() == 0)
			unmask(NULL);
		else
			schedule_work_on(0, &unmask_work);
	}
	return received;
}

/* The line stays raised while messages wait, so it is masked from here to the last one. */
static irqreturn_t net_interrupt(int irq, void *dev)
{
	clear_c0_status(NET_LINE);
	napi_schedule(&napi);
	return IRQ_HANDLED;
}

static long take_interrupt(void *dev)
{
	irq_set_handler(NET_IRQ, handle_simple_irq);
	return request_irq(NET_IRQ, net_interrupt, 0, "net", dev);
}

static long release_interrupt(void *dev)
{
	free_irq(NET_IRQ, dev);
	return 0;
}

static int net_open(struct net_device *dev)
{
	int error;

	napi_enable(&napi);
	error = work_on_cpu(0, take_interrupt, dev);
	if (error)
		napi_disable(&napi);
	else
		netif_start_queue(dev);
	return error;
}

static int net_stop(struct net_device *dev)
{
	unsigned int i, j;

	netif_tx_disable(dev);
	napi_disable(&napi);
	flush_work(&unmask_work);
	work_on_cpu(0, release_interrupt, dev);
	for (i = 0; i < SLOTS; i++) {
		dev_kfree_skb(receiving.skbs[i]);
		receiving.skbs[i] = NULL;
		for (j = 0; j < SLOT_PAGES; j++) {
			if (receiving.pages[i][j])
				put_page(receiving.pages[i][j]);
			receiving.pages[i][j] = NULL;
		}
	}
	return 0;
}

static const struct net_device_ops net_ops = {
	.ndo_open = net_open,
	.ndo_stop = net_stop,
	.ndo_start_xmit = net_xmit,
	.ndo_validate_addr = eth_validate_addr,
};

static int __init net_init(void)
{
	static struct disco_net_info info __initdata;
	struct net_device *dev;
	u8 address[ETH_ALEN];
	int error, i;

	if (disco_call(DISCO_CALL_NET_INFO, __pa(&info), 0, 0, 0))
		return 0;
	dev = alloc_etherdev(0);
	if (!dev)
		return -ENOMEM;
	for (i = 0; i < ETH_ALEN; i++)
		address[i] = info.mac >> 8 * (ETH_ALEN - 1 - i);
	eth_hw_addr_set(dev, address);
	dev->netdev_ops = &net_ops;
	dev->hw_features = NETIF_F_SG | NETIF_F_HW_CSUM;
	dev->features = dev->hw_features | NETIF_F_HIGHDMA;
	dev->mtu = DISCO_NET_MTU;
	dev->max_mtu = DISCO_NET_MTU;
	netif_napi_add(dev, &napi, net_poll);
	error = register_netdev(dev);
	if (error) {
		netif_napi_del(&napi);
		free_netdev(dev);
		return error;
	}
	return disco_net_tell();
}
/* After the folder in /proc. */
late_initcall(net_init);
