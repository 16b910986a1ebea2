#include <stdlib.h>
#include <sys/resource.h>
#include <sys/timex.h>
#include <time.h>

#include "cli/doctor/doctor.h"
#include "cli/format.h"
#include "jobserver/machine.h"

enum { FEW_FILES = 4096, FEW_PROCESSES = 1024, LITTLE_MEMORY_GIB = 2 };

#define GIB (UINT64_C(1) << 30)
#define JANUARY_2024 INT64_C(1704067200)

static void check_limit(struct doctor *doctor, int resource, const char *what, rlim_t few, const char *advice) {
    struct rlimit limit;

    if (getrlimit((__rlimit_resource_t)resource, &limit) < 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY)
        doctor_say(doctor, DOCTOR_OK, "limits", NULL, "%s: no limit", what);
    else
        doctor_say(doctor, limit.rlim_cur < few ? DOCTOR_WARN : DOCTOR_OK, "limits",
                   limit.rlim_cur < few ? advice : NULL, "%s: %llu", what, (unsigned long long)limit.rlim_cur);
}

static void check_memory(struct doctor *doctor) {
    uint64_t bytes = machine_memory_bytes(), wanted = doctor->config->memory_total_bytes;
    CLEANUP(freep) char *all = format_bytes(bytes);
    CLEANUP(freep) char *data = format_bytes(wanted ? wanted : bytes / 2);

    if (wanted > bytes)
        doctor_say(doctor, DOCTOR_FAIL, "memory", "lower memory.total, or raise the cgroup's limit",
                   "memory.total is %s, and the machine, or the cgroup, has %s", data, all);
    else
        doctor_say(doctor, bytes < LITTLE_MEMORY_GIB * GIB ? DOCTOR_WARN : DOCTOR_OK, "memory",
                   bytes < LITTLE_MEMORY_GIB * GIB
                       ? "workers need some hundred megabytes each: set workers.per_environment"
                       : NULL,
                   "%s, of which %s are for jobs' data; %u cores", all, data, machine_cores());
}

/* Watermarks, processing-time timers and tokens go by the clock. */
static void check_clock(struct doctor *doctor) {
    struct timex state = {0};
    int r = adjtimex(&state);

    if (time(NULL) < JANUARY_2024)
        doctor_say(doctor, DOCTOR_FAIL, "clock", "set it, or run a time service", "it is far in the past");
    else if (r == TIME_ERROR || (state.status & STA_UNSYNC))
        doctor_say(doctor, DOCTOR_WARN, "clock", "run systemd-timesyncd or chrony, unless the host does",
                   "nobody keeps it in step with the world's");
    else
        doctor_say(doctor, DOCTOR_OK, "clock", NULL, "kept in step");
}

void doctor_check_limits(struct doctor *doctor) {
    check_limit(doctor, RLIMIT_NOFILE, "open files", FEW_FILES,
                "raise it: LimitNOFILE= in the unit, ulimit -n in a shell");
    check_limit(doctor, RLIMIT_NPROC, "processes and threads", FEW_PROCESSES,
                "raise it: LimitNPROC= in the unit, ulimit -u in a shell");
    check_memory(doctor);
    check_clock(doctor);
}
