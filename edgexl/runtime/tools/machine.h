/* machine.h: what the system tells exl-bench of itself while a bundle runs: cores, clocks, memory, faults, how busy it
 * is, temperature and energy. What it does not tell is UNKNOWN, and null in the report. */
#ifndef EXL_TOOLS_MACHINE_H
#define EXL_TOOLS_MACHINE_H

#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include "command.h"

#define UNKNOWN (-1.0)

static double clock_ms(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static double now_ms(void) { return clock_ms(CLOCK_MONOTONIC); }

/* `key: number` of a report; null where the number is UNKNOWN. */
static void print_number(const char *key, double number, int digits) {
    if (number < 0)
        printf("\"%s\": null", key);
    else
        printf("\"%s\": %.*f", key, digits, number);
}

/* The number that a file of /sys begins with. */
static double read_number(const char *path) {
    double number = UNKNOWN;
    FILE *file = fopen(path, "r");

    if (file && fscanf(file, "%lf", &number) != 1)
        number = UNKNOWN;
    if (file)
        fclose(file);
    return number;
}

/* The number behind a key at a line's beginning, such as "VmHWM:" of /proc/self/status. */
static double read_key(const char *path, const char *key) {
    char line[512];
    double number = UNKNOWN;
    FILE *file = fopen(path, "r");

    while (file && number < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0)
            number = strtod(line + strlen(key), NULL);
    if (file)
        fclose(file);
    return number;
}

/* ---- cores ------------------------------------------------------------------------------------------------------ */

/* Of a core, in kHz: the highest it has, or the one it runs at. */
static double core_khz(int core, const char *which) {
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/%s", core, which);
    return read_number(path);
}

#if defined(__linux__)
/* The fastest core that this process may use: the last of those whose clock goes highest. */
static int fastest_core(void) {
    cpu_set_t allowed;
    double best = -2;
    int found = -1;

    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        return -1;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed) && core_khz(core, "cpuinfo_max_freq") >= best) {
            best = core_khz(core, "cpuinfo_max_freq");
            found = core;
        }
    return found;
}

/* Keeps this process on a core; 0 where the system does not let it, or runs it elsewhere all the same. */
static int pin(int core) {
    cpu_set_t wanted;

    if (core < 0 || core >= CPU_SETSIZE)
        return 0;
    CPU_ZERO(&wanted);
    CPU_SET(core, &wanted);
    return sched_setaffinity(0, sizeof wanted, &wanted) == 0 && sched_getcpu() == core;
}

static int is_on(int core) { return sched_getcpu() == core; }
#else
static int fastest_core(void) { return -1; }
static int pin(int core) { return (void)core, 0; }
static int is_on(int core) { return (void)core, 0; }
#endif

/* Pins to `name`: a core's number, or "auto". The core, -1 where there is no pinning here, -2 (said) for no core. */
static int pin_to(const char *name) {
    char *end = NULL;
    long core = strcmp(name, "auto") == 0 ? fastest_core() : strtol(name, &end, 10);

    if (end && (end == name || *end || core < 0 || core > 4095)) {
        say("the option --core takes a core's number or auto, not '%s'", name);
        return -2;
    }
    if (pin((int)core))
        return (int)core;
    if (!end)
        return -1;
    say("this process cannot be kept on core %ld: give one that it may use, or auto", core);
    return -2;
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

/* Linux keeps ru_maxrss over exec: it would be that of the program that started this one where that was larger. */
static double peak_resident_bytes(void) {
    struct rusage usage;
    double kib = read_key("/proc/self/status", "VmHWM:");

    if (kib > 0)
        return kib * 1024;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#if defined(__APPLE__)
    return (double)usage.ru_maxrss;
#else
    return (double)usage.ru_maxrss * 1024;
#endif
}

static double status_bytes(const char *key) {
    double kib = read_key("/proc/self/status", key);
    return kib < 0 ? UNKNOWN : kib * 1024;
}

/* Anonymous memory is the process's own; that of files can be dropped and read again. */
static void print_memory(void) {
    fputs("\"memory\": {", stdout);
    print_number("resident_bytes", status_bytes("VmRSS:"), 0);
    fputs(", ", stdout);
    print_number("peak_resident_bytes", peak_resident_bytes(), 0);
    fputs(", ", stdout);
    print_number("anonymous_bytes", status_bytes("RssAnon:"), 0);
    fputs(", ", stdout);
    print_number("file_bytes", status_bytes("RssFile:"), 0);
    fputs("}", stdout);
}

/* The share of a file that the system holds in memory; with `drop` it is asked to let it go first. Percent. */
static double cached_percent(const char *path, int drop) {
    double percent = UNKNOWN;
    int file = open(path, O_RDONLY);
    struct stat about;

    if (file < 0)
        return UNKNOWN;
#if defined(__linux__)
    if (fstat(file, &about) == 0 && about.st_size > 0) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = (size_t)about.st_size, pages = (bytes + page - 1) / page;
        unsigned char *in_memory = malloc(pages);
        void *mapped;

        if (drop) {
            (void)fdatasync(file); /* pages that are not on the disk yet stay */
            (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        }
        mapped = mmap(NULL, bytes, PROT_READ, MAP_SHARED, file, 0);
        if (in_memory && mapped != MAP_FAILED && mincore(mapped, bytes, in_memory) == 0) {
            size_t held = 0;
            for (size_t i = 0; i < pages; i++)
                held += in_memory[i] & 1;
            percent = 100.0 * (double)held / (double)pages;
        }
        if (mapped != MAP_FAILED)
            munmap(mapped, bytes);
        free(in_memory);
    }
#else
    (void)about, (void)drop;
#endif
    close(file);
    return percent;
}

/* ---- how busy it is --------------------------------------------------------------------------------------------- */

typedef struct moment {
    double wall_ms, cpu_ms, steal, ticks, running, energy_uj, watts;
    long minor_faults, major_faults, switches;
} moment;

/* All ticks of all cores, and those that went to another machine's use. */
static void read_ticks(double *ticks, double *steal) {
    double at[8] = {0};
    FILE *file = fopen("/proc/stat", "r");

    *ticks = *steal = UNKNOWN;
    if (file && fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", at, at + 1, at + 2, at + 3, at + 4, at + 5, at + 6,
                       at + 7) == 8) {
        *steal = at[7];
        *ticks = 0;
        for (int i = 0; i < 8; i++)
            *ticks += at[i];
    }
    if (file)
        fclose(file);
}

/* What a battery gives, in watts. */
static double battery_watts(void) {
    static const char *const names[] = {"BAT0", "BAT1", "battery", "bms"};
    char path[96];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        double power, current, voltage;
        snprintf(path, sizeof path, "/sys/class/power_supply/%s/power_now", names[i]);
        if ((power = read_number(path)) > 0)
            return power * 1e-6;
        snprintf(path, sizeof path, "/sys/class/power_supply/%s/current_now", names[i]);
        current = read_number(path);
        snprintf(path, sizeof path, "/sys/class/power_supply/%s/voltage_now", names[i]);
        voltage = read_number(path);
        if (current > 0 && voltage > 0)
            return current * voltage * 1e-12;
    }
    return UNKNOWN;
}

static moment read_moment(void) {
    moment now = {.energy_uj = read_number("/sys/class/powercap/intel-rapl:0/energy_uj"), .watts = battery_watts()};
    struct rusage usage;

    read_ticks(&now.ticks, &now.steal);
    now.running = read_key("/proc/stat", "procs_running ");
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        now.minor_faults = usage.ru_minflt;
        now.major_faults = usage.ru_majflt;
        now.switches = usage.ru_nivcsw;
    }
    now.cpu_ms = clock_ms(CLOCK_PROCESS_CPUTIME_ID);
    now.wall_ms = now_ms();
    return now;
}

/* Of all cores and whatever runs on them, in between; the package's by RAPL, or a battery's. */
static double energy_mj(const moment *from, const moment *to) {
    double range = read_number("/sys/class/powercap/intel-rapl:0/max_energy_range_uj");

    if (from->energy_uj >= 0 && to->energy_uj >= 0) {
        double spent = to->energy_uj - from->energy_uj;
        return (spent < 0 && range > 0 ? spent + range : spent) * 1e-3;
    }
    if (from->watts > 0 && to->watts > 0)
        return (from->watts + to->watts) / 2 * (to->wall_ms - from->wall_ms);
    return UNKNOWN;
}

static void print_faults(const char *key, const moment *from, const moment *to) {
    printf("\"%s\": {\"minor\": %ld, \"major\": %ld}", key, to->minor_faults - from->minor_faults,
           to->major_faults - from->major_faults);
}

/* threads: that this process itself has running. spread: of the parts of the runs, in percent. */
static void print_busy(const moment *from, const moment *to, uint32_t threads, double spread) {
    double wall = to->wall_ms - from->wall_ms, ticks = to->ticks - from->ticks;
    double others = (from->running + to->running) / 2 - threads;

    fputs("\"busy\": {", stdout);
    print_number("steal_percent", from->ticks < 0 || ticks <= 0 ? UNKNOWN : 100 * (to->steal - from->steal) / ticks, 2);
    fputs(", ", stdout);
    print_number("run_queue", from->running < 0 ? UNKNOWN : others > 0 ? others : 0, 1);
    fputs(", ", stdout);
    print_number("waited_percent", wall > 0 ? fmax(0, 100 * (1 - (to->cpu_ms - from->cpu_ms) / (wall * threads))) : 0,
                 2);
    printf(", \"involuntary_switches\": %ld, ", to->switches - from->switches);
    print_number("spread_percent", spread, 2);
    fputs("}", stdout);
}

/* The hottest of what the system measures. */
static double celsius(void) {
    double hottest = UNKNOWN;
    char path[64];

    for (int zone = 0; zone < 32; zone++) {
        double degrees;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%d/temp", zone);
        degrees = read_number(path) / 1000;
        if (degrees > hottest)
            hottest = degrees;
    }
    return hottest;
}

static double core_mhz(int core) {
    double khz = core < 0 ? UNKNOWN : core_khz(core, "scaling_cur_freq");
    return khz < 0 ? UNKNOWN : khz / 1000;
}

#endif
