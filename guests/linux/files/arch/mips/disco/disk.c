// SPDX-License-Identifier: GPL-2.0
/*
 * Virtual disks: vda, vdb, ... in the monitor's order. A request is one monitor call with its whole
 * scatter list. It ends at once, or later: then the line is raised until DiskTake has told it.
 */

#define pr_fmt(fmt) "disk: " fmt

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/major.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/version.h>
#include <linux/workqueue.h>

#include <asm/irq.h>
#include <asm/mipsregs.h>

#include "memory.h"

#define DISK_IRQ	(MIPS_CPU_IRQ_BASE + DISCO_LINE_DISK)
#define DISK_MINORS	16
#define DISK_LETTERS	26
/* How many ended commands one call takes. */
#define TAKEN_AT_ONCE	16
/* What the monitor shares, maps and caches. */
#define MONITOR_BLOCK	PAGE_SIZE
/* A command costs more than its pages. Linux reads ahead twice as much as this: one command. */
#define OPTIMAL_BYTES	(DISCO_DISK_BYTES_MAX / 2)

/* As the monitor has them: guests/abi/src/disk.rs. */
struct disk_info {
	u64 sectors;
	u64 mode;
	char name[DISCO_NAME_BYTES];
};
static_assert(sizeof(struct disk_info) == 16 + DISCO_NAME_BYTES);

struct disk_command {
	u64 operation;
	u64 sector;
	u64 tag;
	u64 segments;
	struct disco_segment segment[DISCO_DISK_SEGMENTS_MAX];
};
static_assert(offsetof(struct disk_command, segment) == 32);

struct disk_done {
	u64 tag;
	u64 status;
};
static_assert(sizeof(struct disk_done) == 16);

/* A request's own part: what the monitor reads, and how it ended. */
struct disk_request {
	struct disk_command command;
	u64 status;
};

/* One for all disks, as the monitor counts the commands of all together. */
static struct blk_mq_tag_set tags;
static int disk_major;

static u64 operation(struct request *rq)
{
	switch (req_op(rq)) {
	case REQ_OP_READ:
		return DISCO_DISK_READ;
	case REQ_OP_FLUSH:
		return DISCO_DISK_FLUSH;
	default:
		return rq->cmd_flags & REQ_FUA ? DISCO_DISK_WRITE_DURABLE : DISCO_DISK_WRITE;
	}
}

/* Returns the bytes of the command, or 0 if the request has too many segments. */
static size_t fill(struct disk_command *command, struct request *rq)
{
	struct req_iterator iterator;
	struct bio_vec piece;
	unsigned int count = 0;

	command->operation = operation(rq);
	command->sector = blk_rq_pos(rq);
	command->tag = rq->tag;
	if (command->operation == DISCO_DISK_FLUSH) {
		command->sector = 0;
	} else {
		rq_for_each_bvec(piece, rq, iterator) {
			if (count == DISCO_DISK_SEGMENTS_MAX)
				return 0;
			command->segment[count].address =
				page_to_phys(piece.bv_page) + piece.bv_offset;
			command->segment[count].bytes = piece.bv_len;
			count++;
		}
	}
	command->segments = count;
	return offsetof(struct disk_command, segment) + count * sizeof(command->segment[0]);
}

static blk_status_t disk_queue(struct blk_mq_hw_ctx *context, const struct blk_mq_queue_data *data)
{
	struct request *rq = data->rq;
	struct disk_request *own = blk_mq_rq_to_pdu(rq);
	unsigned long disk = (unsigned long)rq->q->queuedata;
	size_t bytes = fill(&own->command, rq);
	long result;

	if (WARN_ON_ONCE(!bytes))
		return BLK_STS_IOERR;
	/* Before the call: the request may have ended, on another CPU, before the call returns. */
	blk_mq_start_request(rq);
	result = disco_call(DISCO_CALL_DISK_COMMAND, disk, __pa(&own->command), bytes, 0);
	switch (result) {
	case 0:
		return BLK_STS_OK;
	case 1:
		blk_mq_end_request(rq, BLK_STS_OK);
		return BLK_STS_OK;
	case -(long)DISCO_ERROR_BUSY:
		/* Another disk's commands may be in the way, so nothing says when to try again. */
		return BLK_STS_RESOURCE;
	default:
		return BLK_STS_IOERR;
	}
}

static void disk_complete(struct request *rq)
{
	struct disk_request *own = blk_mq_rq_to_pdu(rq);
	blk_status_t status = BLK_STS_IOERR;

	if (own->status == 0)
		status = BLK_STS_OK;
	else if (own->status == DISCO_DISK_NO_SPACE)
		status = BLK_STS_NOSPC;
	blk_mq_end_request(rq, status);
}

static const struct blk_mq_ops disk_mq_ops = {
	.queue_rq = disk_queue,
	.complete = disk_complete,
};

static const struct block_device_operations disk_ops = {
	.owner = THIS_MODULE,
};

/* Takes all: the line falls with the last one. It is the first CPU's, so the buffer has one user. */
static irqreturn_t disk_interrupt(int irq, void *data)
{
	static struct disk_done done[TAKEN_AT_ONCE];
	long count, i;

	do {
		count = disco_call(DISCO_CALL_DISK_TAKE, __pa(done), TAKEN_AT_ONCE, 0, 0);
		for (i = 0; i < count; i++) {
			struct request *rq = blk_mq_tag_to_rq(tags.tags[0], done[i].tag);
			struct disk_request *own;

			if (WARN_ON_ONCE(!rq))
				continue;
			own = blk_mq_rq_to_pdu(rq);
			own->status = done[i].status;
			blk_mq_complete_request(rq);
		}
	} while (count == TAKEN_AT_ONCE);
	return IRQ_HANDLED;
}

/* The handler itself lowers the line, so nothing has to be masked around it, which would trap. */
static long __init take_interrupt(void *unused)
{
	irq_set_handler(DISK_IRQ, handle_simple_irq);
	return request_irq(DISK_IRQ, disk_interrupt, 0, "disk", NULL);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
static struct gendisk * __init new_disk(void *number)
{
	struct gendisk *disk = blk_mq_alloc_disk(&tags, number);
	struct request_queue *queue;

	if (IS_ERR(disk))
		return disk;
	queue = disk->queue;
	blk_queue_logical_block_size(queue, DISCO_SECTOR);
	blk_queue_physical_block_size(queue, MONITOR_BLOCK);
	blk_queue_io_opt(queue, OPTIMAL_BYTES);
	blk_queue_max_hw_sectors(queue, DISCO_DISK_BYTES_MAX / DISCO_SECTOR);
	blk_queue_max_segments(queue, DISCO_DISK_SEGMENTS_MAX);
	blk_queue_max_segment_size(queue, DISCO_DISK_BYTES_MAX);
	blk_queue_write_cache(queue, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, queue);
	blk_queue_flag_clear(QUEUE_FLAG_ADD_RANDOM, queue);
	return disk;
}
#else
static struct gendisk * __init new_disk(void *number)
{
	struct queue_limits limits = {
		.logical_block_size = DISCO_SECTOR,
		.physical_block_size = MONITOR_BLOCK,
		.io_opt = OPTIMAL_BYTES,
		.max_hw_sectors = DISCO_DISK_BYTES_MAX / DISCO_SECTOR,
		.max_segments = DISCO_DISK_SEGMENTS_MAX,
		.max_segment_size = DISCO_DISK_BYTES_MAX,
		.features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};

	return blk_mq_alloc_disk(&tags, &limits, number);
}
#endif

static int __init add(unsigned long number, const struct disk_info *info)
{
	struct gendisk *disk = new_disk((void *)number);
	int error;

	if (IS_ERR(disk))
		return PTR_ERR(disk);
	/* An interrupt to the CPU that sent the request costs more than it saves. */
	blk_queue_flag_clear(QUEUE_FLAG_SAME_COMP, disk->queue);
	snprintf(disk->disk_name, sizeof(disk->disk_name), "vd%c", (int)('a' + number));
	disk->major = disk_major;
	disk->first_minor = number * DISK_MINORS;
	disk->minors = DISK_MINORS;
	disk->fops = &disk_ops;
	set_capacity(disk, info->sectors);
	set_disk_ro(disk, info->mode == DISCO_DISK_READ_ONLY);
	error = add_disk(disk);
	if (error)
		put_disk(disk);
	return error;
}

static void __init probe(unsigned long number, const struct disk_info *info)
{
	long error = disco_call(DISCO_CALL_DISK_OPEN, number, 0, 0, 0);

	if (error == -(long)DISCO_ERROR_IN_USE) {
		pr_err("vd%c is not there: another virtual machine has the exclusive disk \"%s\"; stop that one, then reboot this one\n",
		       (int)('a' + number), info->name);
		return;
	}
	if (!error)
		error = add(number, info);
	if (error)
		pr_err("vd%c (\"%s\") is not there: error %ld\n", (int)('a' + number), info->name,
		       error);
	else
		pr_info("vd%c is \"%s\", %llu KiB%s\n", (int)('a' + number), info->name,
			info->sectors / 2, info->mode == DISCO_DISK_READ_ONLY ? ", read-only" : "");
}

static int __init prepare(void)
{
	int error;

	disk_major = register_blkdev(0, "vd");
	if (disk_major < 0)
		return disk_major;
	tags.ops = &disk_mq_ops;
	tags.nr_hw_queues = 1;
	tags.queue_depth = DISCO_DISK_COMMANDS_MAX;
	tags.numa_node = NUMA_NO_NODE;
	tags.cmd_size = sizeof(struct disk_request);
	tags.flags = BLK_MQ_F_SHOULD_MERGE;
	error = blk_mq_alloc_tag_set(&tags);
	return error ? error : work_on_cpu(0, take_interrupt, NULL);
}

static int __init disk_init(void)
{
	static struct disk_info info __initdata;
	unsigned long number;
	int error;

	for (number = 0; number < DISK_LETTERS; number++) {
		if (disco_call(DISCO_CALL_DISK_INFO, number, __pa(&info), 0, 0))
			break;
		if (number == 0) {
			error = prepare();
			if (error)
				return error;
		}
		probe(number, &info);
	}
	return 0;
}
device_initcall(disk_init);
