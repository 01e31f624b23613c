// SPDX-License-Identifier: GPL-2.0
/* The checks of doctor: what the README says of memory that does not come back. */
#include <stdio.h>
#include <string.h>
#include "doctor.h"

static const struct device *doctor_device(const struct doctor *doctor)
{
	return doctor->why.device;
}

static const char *doctor_release(const struct doctor *doctor, char *release, size_t size)
{
	const char *text = doctor->sources[DOCTOR_RELEASE].text;

	snprintf(release, size, "%.*s", text ? (int)strcspn(text, "\n") : 7, text ?: "unknown");
	return release;
}

static enum doctor_result doctor_has_device(struct doctor *doctor)
{
	if (!doctor_device(doctor))
		return doctor_say(doctor, DOCTOR_WARN, "this guest has no balloon device");
	return doctor_say(doctor, DOCTOR_OK, "the balloon device is %s",
			  doctor_device(doctor)->name);
}

static enum doctor_result doctor_driver(struct doctor *doctor)
{
	const struct device *device = doctor_device(doctor);

	if (!device)
		return doctor_say(doctor, DOCTOR_UNKNOWN, "there is no device to drive");
	if (device_is_aerator(device))
		return doctor_say(doctor, DOCTOR_OK, "aerator drives it");
	return doctor_say(doctor, DOCTOR_WARN, "%s drives it, not aerator",
			  device->driver[0] ? device->driver : "no driver");
}

/*
 * Kernels that crash when virtio_balloon is unbound: 6.11 to 6.12.95, 6.13 to 6.18.38, 6.19 to
 * 7.1.3 (module/compat/unbind.c).
 */
static bool doctor_kernel_crashes(const char *release)
{
	unsigned int major, minor, patch = 0;

	if (sscanf(release, "%u.%u.%u", &major, &minor, &patch) < 2)
		return false;
	if (major == 6)
		return minor == 11 || (minor == 12 && patch < 96) ||
		       (minor > 12 && minor < 18) || (minor == 18 && patch < 39) || minor == 19;
	return major == 7 && (!minor || (minor == 1 && patch < 4));
}

static enum doctor_result doctor_kernel(struct doctor *doctor)
{
	const struct device *device = doctor_device(doctor);
	char release[64];

	doctor_release(doctor, release, sizeof(release));
	if (!doctor_kernel_crashes(release))
		return doctor_say(doctor, DOCTOR_OK, "Linux %s", release);
	if (device && device_is_aerator(device))
		return doctor_say(doctor, DOCTOR_OK, "Linux %s; aerator had the device first",
				  release);
	return doctor_say(doctor, DOCTOR_WARN,
			  "Linux %s crashes when virtio_balloon is unbound, so that keeps the device",
			  release);
}

static enum doctor_result doctor_reporting(struct doctor *doctor)
{
	const struct device *device = doctor_device(doctor);

	if (!device || !device->driver[0])
		return doctor_say(doctor, DOCTOR_UNKNOWN, "no driver asks the host");
	if (device_has(device, DEVICE_F_REPORTING))
		return doctor_say(doctor, DOCTOR_OK, "the host offers free page reporting");
	if (doctor->why.poisoned)
		return doctor_say(doctor, DOCTOR_UNKNOWN,
				  "not used, as free pages are poisoned");
	return doctor_say(doctor, DOCTOR_WARN, "the host does not offer free page reporting");
}

static enum doctor_result doctor_poison(struct doctor *doctor)
{
	const struct device *device = doctor_device(doctor);

	if (!doctor->why.poisoned)
		return doctor_say(doctor, DOCTOR_OK, "free pages are not poisoned");
	if (device && device_is_aerator(device) && device_has(device, DEVICE_F_POISON))
		return doctor_say(doctor, DOCTOR_OK,
				  "free pages are poisoned, and the host keeps that");
	return doctor_say(doctor, DOCTOR_WARN,
			  "free pages are poisoned, the host does not keep that");
}

/* A module of one name in a list of modules.dep or of files. */
static bool doctor_lists(const struct source *source)
{
	return source->text && strstr(source->text, "/aerator.ko");
}

static enum doctor_result doctor_module(struct doctor *doctor)
{
	char release[64];

	doctor_release(doctor, release, sizeof(release));
	if (doctor_lists(&doctor->sources[DOCTOR_MODULES]))
		return doctor_say(doctor, DOCTOR_OK, "installed for Linux %s", release);
	if (doctor_device(doctor) && device_is_aerator(doctor_device(doctor)))
		return doctor_say(doctor, DOCTOR_WARN,
				  "loaded, but not installed for Linux %s: not there after a reboot",
				  release);
	return doctor_say(doctor, DOCTOR_WARN, "not installed for Linux %s", release);
}

static enum doctor_result doctor_signature(struct doctor *doctor)
{
	static const char *const refused[] = {
		"Loading of unsigned module is rejected",
		"Loading of module with unavailable key is rejected",
		"Lockdown: modprobe: unsigned module loading is restricted",
		"Lockdown: insmod: unsigned module loading is restricted",
	};
	const struct source *log = &doctor->sources[DOCTOR_LOG];
	unsigned int i;

	if (!log->text)
		return doctor_say(doctor, DOCTOR_UNKNOWN, "only root reads the kernel's log");
	for (i = 0; i < ARRAY_SIZE(refused); i++)
		if (strstr(log->text, refused[i]))
			return doctor_say(doctor, DOCTOR_WARN,
					  "the kernel has refused a module without a known key");
	return doctor_say(doctor, DOCTOR_OK, "no module was refused for its signature");
}

static enum doctor_result doctor_discards(struct doctor *doctor)
{
	const char *word = doctor_device(doctor)->values[DEVICE_HOST_DISCARDS].word;

	if (!strcmp(word, "no"))
		return doctor_say(doctor, DOCTOR_WARN,
				  "the host acknowledges reports, and keeps the memory");
	if (strcmp(word, "yes"))
		return doctor_say(doctor, DOCTOR_UNKNOWN, "nothing was reported so far");
	return doctor_say(doctor, DOCTOR_OK, "the host drops what is reported");
}

static enum doctor_result doctor_enabled(struct doctor *doctor)
{
	if (!settings_number(&doctor->why.settings, SETTING_ENABLED))
		return doctor_say(doctor, DOCTOR_WARN, "reporting is paused (enabled=0)");
	return doctor_say(doctor, DOCTOR_OK, "reporting is not paused");
}

static enum doctor_result doctor_limits(struct doctor *doctor)
{
	const struct settings *s = &doctor->why.settings;
	bool limited = settings_number(s, SETTING_RESERVE_MB) ||
		       settings_number(s, SETTING_RATE_MB) ||
		       settings_number(s, SETTING_SHARE_PCT) != 100;

	return doctor_say(doctor, limited ? DOCTOR_WARN : DOCTOR_OK,
			  "reserve_mb=%s, share_pct=%s, rate_mb=%s%s", s->text[SETTING_RESERVE_MB],
			  s->text[SETTING_SHARE_PCT], s->text[SETTING_RATE_MB],
			  limited ? ": memory is kept back" : ": nothing is kept back");
}

static enum doctor_result doctor_errors(struct doctor *doctor)
{
	const struct device_value *values = doctor_device(doctor)->values;
	unsigned long long errors = values[DEVICE_ERRORS].number;
	unsigned long long resets = values[DEVICE_SETTLE_TIMEOUTS].number;

	return doctor_say(doctor, errors || resets ? DOCTOR_WARN : DOCTOR_OK,
			  "%llu batches went back unreported, the host was silent %llu times",
			  errors, resets);
}

/* Of two lines of the log the later one counts. */
static bool doctor_last(const struct doctor *doctor, const char *bad, const char *good)
{
	const char *text = doctor->sources[DOCTOR_LOG].text, *at = NULL, *next;

	for (next = text; next && (next = strstr(next, bad)); next++)
		at = next;
	return at && !(good && strstr(at, good));
}

static enum doctor_result doctor_notice(struct doctor *doctor)
{
	if (!doctor->sources[DOCTOR_LOG].text)
		return doctor_say(doctor, DOCTOR_UNKNOWN, "only root reads the kernel's log");
	if (doctor_last(doctor, "page reporting of this kernel does not work as", NULL))
		return doctor_say(doctor, DOCTOR_WARN,
				  "the kernel decides when memory goes, as with virtio_balloon");
	if (doctor_last(doctor, "no early notification of frees",
			"early notification of frees works again"))
		return doctor_say(doctor, DOCTOR_WARN, "frees are noticed 2 s late");
	return doctor_say(doctor, DOCTOR_OK, "frees are noticed early");
}

static enum doctor_result doctor_order(struct doctor *doctor)
{
	const struct source *source = &doctor->sources[DOCTOR_ORDER];
	unsigned long long order = doctor->why.order;
	unsigned int block = memory_block_order();
	const char *text = source->text;
	uint64_t kernels;

	if (text && source_digits(&text, &kernels) && kernels != order && kernels < 32)
		return doctor_say(doctor, DOCTOR_WARN,
				  "%llu holds, page_reporting_order is %llu", order,
				  (unsigned long long)kernels);
	if (order > block)
		return doctor_say(doctor, DOCTOR_WARN,
				  "%llu: blocks of 2 MiB (%u) are not reported", order, block);
	return doctor_say(doctor, DOCTOR_OK, "%llu is the smallest block that is reported", order);
}

const struct doctor_check doctor_checks[] = {
	{
		"device",
		"Give the guest a virtio balloon with free page reporting at the host: QEMU -device virtio-balloon-pci,free-page-reporting=on",
		false, doctor_has_device,
	},
	{
		"driver",
		"modprobe aerator; if that fails, see the checks below, and dmesg.",
		false, doctor_driver,
	},
	{
		"kernel",
		"Reboot, so that aerator comes first, or upgrade the kernel.",
		false, doctor_kernel,
	},
	{
		"reporting",
		"Set free-page-reporting=on (libvirt: freePageReporting='on') at the host, and start the guest anew.",
		false, doctor_reporting,
	},
	{
		"poison",
		"Start the guest with page-poison=on at the host, or without init_on_free and page_poison.",
		false, doctor_poison,
	},
	{
		"module",
		"Install the headers of this kernel, then: dkms autoinstall",
		false, doctor_module,
	},
	{
		"signature",
		"Enrol the key of DKMS: Documentation/secure-boot.md",
		false, doctor_signature,
	},
	{
		"host",
		"No device may be passed through (VFIO), no memory locked; where the host's pages are larger, raise order.",
		true, doctor_discards,
	},
	{
		"enabled",
		"aerator resume",
		true, doctor_enabled,
	},
	{
		"limits",
		"If that is not wanted: aerator set reserve_mb=0 share_pct=100 rate_mb=0",
		true, doctor_limits,
	},
	{
		"errors",
		"dmesg says why; a host that swaps or migrates the guest may be silent for a while.",
		true, doctor_errors,
	},
	{
		"notice",
		"Arm kprobes: /sys/kernel/debug/kprobes/enabled, sysctl kernel.ftrace_enabled=1; see dmesg.",
		true, doctor_notice,
	},
	{
		"order",
		"Report blocks of 2 MiB: aerator set order=9 (order=7 with pages of 16 KiB).",
		true, doctor_order,
	},
};

const unsigned int doctor_nr_checks = ARRAY_SIZE(doctor_checks);
