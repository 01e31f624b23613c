// SPDX-License-Identifier: GPL-2.0
/*
 * Load the crash kernel, which runs when this kernel crashes, into the memory that
 * crashkernel= has reserved.
 */
#include <err.h>
#include <fcntl.h>
#include <linux/kexec.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] = "usage: crash KERNEL INITRAMFS PARAMETERS\n";

static int open_file(const char *path)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		err(1, "%s", path);
	return file;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		errx(2, "%s", usage);
	if (syscall(SYS_kexec_file_load, open_file(argv[1]), open_file(argv[2]),
		    strlen(argv[3]) + 1, argv[3], KEXEC_FILE_ON_CRASH))
		err(1, "kexec_file_load");
	return 0;
}
